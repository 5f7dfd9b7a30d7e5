"""The C that every unit has: threads, and the entry that a session calls.

Threads belong to the object, and so to one program; they end, and are waited for, before it is unloaded. A call that
finds them busy with another call, and one for a single thread, does without: the result has the same bits for any
number of threads, so nobody need wait.
"""

from __future__ import annotations

INCLUDES = r"""
#include <stdint.h>
#include <string.h>
#include <stdatomic.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>
#if defined(__linux__) && !defined(TALWEG_WITHOUT_FUTEX)
#define USES_FUTEX 1
#include <sys/syscall.h>
#include <linux/futex.h>
#endif
"""

MOST_THREADS = 64

THREADS = f"""
/* ── threads: a pool that lives as long as the object, waits that spin briefly and then sleep ──────────────────── */

#define MOST_THREADS {MOST_THREADS}
"""
THREADS += r"""
static void pause_briefly(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("isb"); /* yield does nothing on most */
#endif
}

/* A number that some threads wait for others to change. */
typedef struct { atomic_uint value, sleepers; } word;

#if !defined(USES_FUTEX)
static pthread_mutex_t sleep_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
#endif

static unsigned wait_for_change(word *w, unsigned old, int spins)
{
    unsigned now;
    for (int i = 0; i < spins; i++) {
        if ((now = atomic_load_explicit(&w->value, memory_order_acquire)) != old) return now;
        pause_briefly();
    }
    /* Who changes the value looks for sleepers afterwards; who sleeps is counted before it looks at the value again. */
    atomic_fetch_add(&w->sleepers, 1);
#if defined(USES_FUTEX)
    while ((now = atomic_load(&w->value)) == old) syscall(SYS_futex, &w->value, FUTEX_WAIT_PRIVATE, old, 0, 0, 0);
#else
    pthread_mutex_lock(&sleep_lock);
    while ((now = atomic_load(&w->value)) == old) pthread_cond_wait(&changed, &sleep_lock);
    pthread_mutex_unlock(&sleep_lock);
#endif
    atomic_fetch_sub(&w->sleepers, 1);
    return now;
}

/* After a change of the value. */
static void wake_all(word *w)
{
    if (atomic_load(&w->sleepers) == 0) return;
#if defined(USES_FUTEX)
    syscall(SYS_futex, &w->value, FUTEX_WAKE_PRIVATE, INT32_MAX, 0, 0, 0);
#else
    pthread_mutex_lock(&sleep_lock);
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&sleep_lock);
#endif
}

/* Each wait spins so many times before it sleeps: the caller gives fewer where there are more threads than cores. */
static struct { word turn; atomic_uint arrived; atomic_int spins; } meeting;

static void barrier(int threads)
{
    if (threads == 1) return;
    unsigned turn = atomic_load(&meeting.turn.value);
    if (atomic_fetch_add(&meeting.arrived, 1) == (unsigned)threads - 1) {
        atomic_store(&meeting.arrived, 0);
        atomic_fetch_add(&meeting.turn.value, 1);
        wake_all(&meeting.turn);
    } else {
        wait_for_change(&meeting.turn, turn, atomic_load_explicit(&meeting.spins, memory_order_relaxed));
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

/* Where the part of a thread begins: threads share out `length`, in multiples of `unit`. */
static long part(long length, long unit, int thread, int threads)
{
    const long start = (length + unit - 1) / unit * thread / threads * unit;
    return start < length ? start : length;
}

/* `call` numbers the calls in its high bits; the low 8 say how many threads the call has, or that all shall end. Only
   they look at `work`, which lies on the caller's stack, and only until they have counted themselves in `done`. */
#define ENDING 255
static struct {
    word call, done;
    const job *work;
    int count;
    pid_t owner;
    unsigned first_seen[MOST_THREADS];
    pthread_t threads[MOST_THREADS];
} pool;
static pthread_mutex_t pool_lock = PTHREAD_MUTEX_INITIALIZER;

static void *worker(void *number)
{
    const unsigned me = (unsigned)(intptr_t)number;
    unsigned seen = pool.first_seen[me];
    flush_denormals();
    for (;;) {
        seen = wait_for_change(&pool.call, seen, atomic_load_explicit(&meeting.spins, memory_order_relaxed));
        const unsigned threads = seen & 255;
        if (threads == ENDING) return 0;
        if (me >= threads) continue;
        steps(pool.work, (int)me);
        if (atomic_fetch_add(&pool.done.value, 1) == threads - 2) wake_all(&pool.done);
    }
}

static void call_threads(unsigned threads)
{
    atomic_store(&pool.call.value, ((atomic_load(&pool.call.value) >> 8) + 1) << 8 | threads);
    wake_all(&pool.call);
}

/* A child of a fork has none of its parent's threads, and perhaps a lock that one of them held. It is told by its id,
   and not by pthread_atfork, which some systems would call after the object was unloaded. */
static void forget_a_parent_s_threads(void)
{
    if (pool.owner == getpid()) return;
    static const pthread_mutex_t fresh = PTHREAD_MUTEX_INITIALIZER;
    memcpy(&pool_lock, &fresh, sizeof fresh);
    memset(&pool, 0, sizeof pool);
    memset(&meeting, 0, sizeof meeting);
#if !defined(USES_FUTEX)
    static const pthread_cond_t silent = PTHREAD_COND_INITIALIZER;
    memcpy(&sleep_lock, &fresh, sizeof fresh);
    memcpy(&changed, &silent, sizeof silent);
#endif
    pool.owner = getpid();
}

/* Starts workers until there are `threads`, this one counted; answers how many there are. Signals that come from
   outside are not for them. */
static int with_workers(int threads)
{
    sigset_t all, before;
    sigfillset(&all);
    sigdelset(&all, SIGSEGV), sigdelset(&all, SIGBUS), sigdelset(&all, SIGFPE), sigdelset(&all, SIGILL);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    while (pool.count < threads - 1) {
        const int number = pool.count + 1;
        pool.first_seen[number] = atomic_load(&pool.call.value);
        if (pthread_create(&pool.threads[number], 0, worker, (void *)(intptr_t)number)) break;
        pool.count = number;
    }
    pthread_sigmask(SIG_SETMASK, &before, 0);
    return threads <= pool.count + 1 ? threads : pool.count + 1;
}

int talweg_run(char *memory, const void *const *data, const int64_t *order, int64_t rows, int64_t batch,
               const char *const *settings, const int64_t *strides, char *const *outputs, int threads, int spins)
{
    job j = { memory, data, order, rows, batch, settings, strides, outputs, 1 };
    const unsigned long mode = flush_denormals();
    if (threads > 1) forget_a_parent_s_threads();
    if (threads > 1 && pthread_mutex_trylock(&pool_lock) == 0) {
        j.threads = with_workers(threads < MOST_THREADS ? threads : MOST_THREADS);
        if (j.threads > 1) {
            atomic_store(&meeting.spins, spins);
            atomic_store(&pool.done.value, 0);
            pool.work = &j;
            call_threads((unsigned)j.threads);
        }
        steps(&j, 0);
        for (unsigned done; j.threads > 1 && (done = atomic_load(&pool.done.value)) < (unsigned)j.threads - 1;)
            wait_for_change(&pool.done, done, spins);
        pthread_mutex_unlock(&pool_lock);
    } else {
        steps(&j, 0);
    }
    restore_mode(mode);
    return 0;
}

/* Ends the workers and waits for them; answers 0, and leaves them, where a call is at work. */
int talweg_rest(void)
{
    forget_a_parent_s_threads();
    if (pthread_mutex_trylock(&pool_lock)) return 0;
    call_threads(ENDING);
    for (; pool.count > 0; pool.count--) pthread_join(pool.threads[pool.count], 0);
    pthread_mutex_unlock(&pool_lock);
    return 1;
}
"""
