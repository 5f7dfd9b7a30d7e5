"""The C that every unit has: types, threads, and the loop over steps."""

from __future__ import annotations

INCLUDES = r"""
#include <stdint.h>
#include <string.h>
#include <stdatomic.h>
#include <pthread.h>
#include <sched.h>
#include <unistd.h>
#if defined(__linux__)
#include <sys/syscall.h>
#include <linux/futex.h>
#endif
"""

THREADS = r"""
/* ── threads: a pool that lives as long as the object, barriers that spin briefly and then sleep ───────────────── */

#define MOST_THREADS 64
#define SPINS 4000

static void pause_briefly(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static void sleep_while(atomic_int *word, int value)
{
#if defined(__linux__)
    syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, 0, 0, 0);
#else
    if (atomic_load(word) == value) sched_yield();
#endif
}

static void wake_all(atomic_int *word)
{
#if defined(__linux__)
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, MOST_THREADS, 0, 0, 0);
#else
    (void)word;
#endif
}

static void wait_for_change(atomic_int *word, int value)
{
    for (int i = 0; i < SPINS; i++) {
        if (atomic_load_explicit(word, memory_order_acquire) != value) return;
        pause_briefly();
    }
    while (atomic_load_explicit(word, memory_order_acquire) == value) sleep_while(word, value);
}

static struct { atomic_int arrived, turn; } meeting;

static void barrier(int threads)
{
    if (threads == 1) return;
    int turn = atomic_load_explicit(&meeting.turn, memory_order_acquire);
    if (atomic_fetch_add(&meeting.arrived, 1) == threads - 1) {
        atomic_store(&meeting.arrived, 0);
        atomic_fetch_add(&meeting.turn, 1);
        wake_all(&meeting.turn);
    } else {
        wait_for_change(&meeting.turn, turn);
    }
}

/* A denormal number costs a hundred times an ordinary one: here it is taken for 0; the caller's mode is put back. */
static unsigned long flush_denormals(void)
{
#if defined(__x86_64__)
    unsigned before = __builtin_ia32_stmxcsr();
    __builtin_ia32_ldmxcsr(before | 0x8040);
    return before;
#elif defined(__aarch64__)
    unsigned long before;
    __asm__ volatile("mrs %0, fpcr" : "=r"(before));
    __asm__ volatile("msr fpcr, %0" : : "r"(before | 1ul << 24));
    return before;
#else
    return 0;
#endif
}

static void restore_mode(unsigned long before)
{
#if defined(__x86_64__)
    __builtin_ia32_ldmxcsr((unsigned)before);
#elif defined(__aarch64__)
    __asm__ volatile("msr fpcr, %0" : : "r"(before));
#else
    (void)before;
#endif
}

typedef struct {
    char *memory;
    const void *const *data;
    const int64_t *order;
    int64_t rows, batch;
    const char *const *settings;
    const int64_t *strides;
    char *const *outputs;
    int threads;
} job;

static void steps(const job *j, int thread);

static struct { pthread_t thread[MOST_THREADS]; int count; pid_t owner; atomic_int turn, done; const job *work; } pool;
static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER;

static void *worker(void *number)
{
    int me = (int)(intptr_t)number, seen = 0;
    unsigned long mode = flush_denormals();
    for (;;) {
        wait_for_change(&pool.turn, seen);
        seen = atomic_load(&pool.turn);
        const job *j = pool.work;
        if (me < j->threads) {
            steps(j, me);
            if (atomic_fetch_add(&pool.done, 1) == j->threads - 2) wake_all(&pool.done);
        }
    }
    restore_mode(mode);
    return 0;
}

int talweg_run(char *memory, const void *const *data, const int64_t *order, int64_t rows, int64_t batch,
               const char *const *settings, const int64_t *strides, char *const *outputs, int threads)
{
    if (threads > MOST_THREADS) threads = MOST_THREADS;
    pthread_mutex_lock(&one_at_a_time);
    if (pool.owner != getpid()) { pool.owner = getpid(); pool.count = 0; atomic_store(&meeting.arrived, 0); }
    while (pool.count < threads - 1) {
        if (pool.count == 0) atomic_store(&pool.turn, 0);
        if (pthread_create(&pool.thread[pool.count], 0, worker, (void *)(intptr_t)(pool.count + 1))) break;
        pthread_detach(pool.thread[pool.count]);
        pool.count++;
    }
    if (threads > pool.count + 1) threads = pool.count + 1;
    job j = { memory, data, order, rows, batch, settings, strides, outputs, threads };
    unsigned long mode = flush_denormals();
    if (threads > 1) {
        atomic_store(&pool.done, 0);
        pool.work = &j;
        atomic_fetch_add(&pool.turn, 1);
        wake_all(&pool.turn);
    }
    steps(&j, 0);
    for (int done; threads > 1 && (done = atomic_load(&pool.done)) < threads - 1;) wait_for_change(&pool.done, done);
    restore_mode(mode);
    pthread_mutex_unlock(&one_at_a_time);
    return 0;
}
"""
