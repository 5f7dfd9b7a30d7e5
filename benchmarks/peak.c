/* What the processor can do at most: float32 multiply-adds from registers, and reading from caches and memory.
   peak THREADS prints a line of JSON. The best of many short trials counts: other work on the machine only slows. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#if defined(__AVX512F__)
enum { LANES = 16, CHAINS = 24 };
#elif defined(__AVX__)
enum { LANES = 8, CHAINS = 12 };
#else
enum { LANES = 4, CHAINS = 24 };
#endif
typedef float vector __attribute__((vector_size(4 * LANES)));

enum { TRIALS = 40, ROUNDS = 200000, MOST_THREADS = 256 };
static const size_t CACHE_BYTES = 512 << 10, MEMORY_BYTES = 64 << 20;
static pthread_barrier_t gate;
static volatile float factor = 0.999f, kept;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + 1e-9 * t.tv_nsec;
}

/* CHAINS independent sums hide the latency of each. The sum is multiplied, so that no product can be taken out. */
static void multiply_add(void)
{
    vector sum[CHAINS], a = (vector){0} + factor, b = (vector){0} + 1e-3f;
#pragma GCC unroll 24
    for (int i = 0; i < CHAINS; i++) sum[i] = a + (float)i;
    for (int n = 0; n < ROUNDS; n++) {
#pragma GCC unroll 24
        for (int i = 0; i < CHAINS; i++) sum[i] = sum[i] * a + b;
    }
#pragma GCC unroll 24
    for (int i = 1; i < CHAINS; i++) sum[0] += sum[i];
    kept = sum[0][0];
}

static void read_all(const vector *p, size_t bytes)
{
    vector sum[8];
    memset(sum, 0, sizeof sum);
    for (size_t n = bytes / sizeof *p, i = 0; i < n; i += 8) {
#pragma GCC unroll 8
        for (int j = 0; j < 8; j++) sum[j] += p[i + j];
    }
    for (int j = 1; j < 8; j++) sum[0] += sum[j];
    kept = sum[0][0];
}

typedef struct { double flops, cache, memory; } rates;

static void keep_best(double *best, double amount, double began)
{
    double rate = amount / (now() - began);
    if (rate > *best) *best = rate;
}

static void *measure(void *result)
{
    rates *r = result;
    vector *room = aligned_alloc(64, MEMORY_BYTES);
    if (!room) exit(1);
    memset(room, 0, MEMORY_BYTES);
    for (int trial = 0; trial < TRIALS; trial++) {
        pthread_barrier_wait(&gate);
        double began = now();
        multiply_add();
        keep_best(&r->flops, 2.0 * LANES * CHAINS * ROUNDS, began);
        pthread_barrier_wait(&gate);
        began = now();
        for (int i = 0; i < 50; i++) read_all(room, CACHE_BYTES);
        keep_best(&r->cache, 50.0 * CACHE_BYTES, began);
        pthread_barrier_wait(&gate);
        began = now();
        read_all(room, MEMORY_BYTES);
        keep_best(&r->memory, MEMORY_BYTES, began);
    }
    free(room);
    return 0;
}

static rates with_threads(int threads)
{
    pthread_t thread[MOST_THREADS];
    rates each[MOST_THREADS] = {0}, all = {0};
    pthread_barrier_init(&gate, 0, threads);
    for (int i = 0; i < threads; i++)
        if (pthread_create(&thread[i], 0, measure, &each[i])) exit(1);
    for (int i = 0; i < threads; i++) {
        pthread_join(thread[i], 0);
        all.flops += each[i].flops / 1e9, all.cache += each[i].cache / 1e9, all.memory += each[i].memory / 1e9;
    }
    return all;
}

int main(int count, char **arguments)
{
    int threads = count > 1 ? atoi(arguments[1]) : 1;
    if (threads < 1 || threads > MOST_THREADS) return 2;
    rates one = with_threads(1), all = with_threads(threads);
    printf("{\"gflops\": %.1f, \"gflops_one_thread\": %.1f, \"cache_gigabytes\": %.1f, \"memory_gigabytes\": %.1f}\n",
           all.flops, one.flops, all.cache, all.memory);
    return 0;
}
