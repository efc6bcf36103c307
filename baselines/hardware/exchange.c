/* How fast two CPUs answer each other: a cache line that goes there and back.

     exchange FIRST LAST      for each byte on standard input a line with nanoseconds of one round trip

   Both threads sleep between questions. One that waits far too long for the other ends the program. */

#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { BATCHES = 21, TRIPS = 100, PATIENCE = 1 << 30 };

static _Alignas(128) atomic_uint asked;
static _Alignas(128) atomic_uint answered;
static sem_t question;

static void pin(int cpu)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    if (sched_setaffinity(0, sizeof set, &set))
        exit(1);
}

static void await(atomic_uint *line, unsigned number)
{
    for (long looks = 0; looks < PATIENCE; looks++)
        if (atomic_load_explicit(line, memory_order_acquire) == number)
            return;
    exit(1);
}

static void *answer(void *cpu)
{
    unsigned number = 0;
    pin(*(int *)cpu);
    while (!sem_wait(&question))
        for (int trip = 0; trip < BATCHES * TRIPS; trip++) {
            await(&asked, ++number);
            atomic_store_explicit(&answered, number, memory_order_release);
        }
    return NULL;
}

static long now(void)
{
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return at.tv_sec * 1000000000L + at.tv_nsec;
}

static int shorter(const void *one, const void *other)
{
    long a = *(const long *)one, b = *(const long *)other;
    return (a > b) - (a < b);
}

int main(int count, char **words)
{
    static unsigned number;
    pthread_t other;
    char byte;
    if (count != 3)
        return 2;
    int first = atoi(words[1]), last = atoi(words[2]);
    sem_init(&question, 0, 0);
    pin(first);
    if (pthread_create(&other, NULL, answer, &last))
        return 1;
    while (read(STDIN_FILENO, &byte, 1) == 1) {
        long taken[BATCHES];
        sem_post(&question);
        for (int batch = 0; batch < BATCHES; batch++) {
            long begun = now();
            for (int trip = 0; trip < TRIPS; trip++) {
                atomic_store_explicit(&asked, ++number, memory_order_release);
                await(&answered, number);
            }
            taken[batch] = now() - begun;
        }
        qsort(taken, BATCHES, sizeof *taken, shorter);
        printf("%ld\n", taken[BATCHES / 2] / TRIPS);
        fflush(stdout);
    }
    return 0;
}
