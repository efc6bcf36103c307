/* How fast two CPUs exchange messages: the time in which a cache line goes there and back.

     exchange FIRST LAST      for each byte on standard input, prints the nanoseconds of one round trip

   Both threads sleep between measurements. If one waits far too long for the other, the program exits. */

#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { BATCHES = 21, TRIPS = 100, MAX_POLLS = 1 << 30 };

/* 128 bytes apart: some processors fetch cache lines in pairs */
static _Alignas(128) atomic_uint ping;
static _Alignas(128) atomic_uint pong;
static sem_t start;

static void pin(int cpu)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    if (sched_setaffinity(0, sizeof set, &set))
        exit(1);
}

static void wait_for(atomic_uint *line, unsigned number)
{
    for (long polls = 0; polls < MAX_POLLS; polls++)
        if (atomic_load_explicit(line, memory_order_acquire) == number)
            return;
    exit(1);
}

static void *respond(void *cpu)
{
    unsigned number = 0;
    pin(*(int *)cpu);
    while (!sem_wait(&start))
        for (int trip = 0; trip < BATCHES * TRIPS; trip++) {
            wait_for(&ping, ++number);
            atomic_store_explicit(&pong, number, memory_order_release);
        }
    return NULL;
}

static long now_ns(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000L + time.tv_nsec;
}

static int compare_long(const void *left, const void *right)
{
    long a = *(const long *)left, b = *(const long *)right;
    return (a > b) - (a < b);
}

int main(int argc, char **argv)
{
    static unsigned number;
    pthread_t responder;
    char byte;
    if (argc != 3)
        return 2;
    int first = atoi(argv[1]), last = atoi(argv[2]);
    sem_init(&start, 0, 0);
    pin(first);
    if (pthread_create(&responder, NULL, respond, &last))
        return 1;
    while (read(STDIN_FILENO, &byte, 1) == 1) {
        long batch_ns[BATCHES];
        sem_post(&start);
        for (int batch = 0; batch < BATCHES; batch++) {
            long begin = now_ns();
            for (int trip = 0; trip < TRIPS; trip++) {
                atomic_store_explicit(&ping, ++number, memory_order_release);
                wait_for(&pong, number);
            }
            batch_ns[batch] = now_ns() - begin;
        }
        qsort(batch_ns, BATCHES, sizeof *batch_ns, compare_long);
        printf("%ld\n", batch_ns[BATCHES / 2] / TRIPS); /* the median batch */
        fflush(stdout);
    }
    return 0;
}
