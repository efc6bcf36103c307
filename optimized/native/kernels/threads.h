/* A few threads that sleep between calls and wait for one another, briefly and awake, within one. */

#pragma once
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

typedef struct {
  int size;
  atomic_int arrived, phase;
} Meeting;

/* Wait until all `size` threads are here. A thread that waits long lets others run: there may be fewer cores. */
static void meet(Meeting *meeting) {
  if (meeting->size == 1) return;
  int phase = atomic_load(&meeting->phase);
  if (atomic_fetch_add(&meeting->arrived, 1) + 1 == meeting->size) {
    atomic_store(&meeting->arrived, 0);
    atomic_store(&meeting->phase, phase + 1);
    return;
  }
  for (int turns = 0; atomic_load_explicit(&meeting->phase, memory_order_acquire) == phase; turns++)
    if (turns > 2000) sched_yield();
    else __builtin_ia32_pause();
}

typedef struct Crew {
  int size;
  void (*work)(void *, int);
  void *job;
  pthread_mutex_t lock;
  pthread_cond_t call, done;
  long calls;
  int busy, closing;
  pthread_t threads[];
} Crew;

typedef struct { Crew *crew; int number; } Member;

static void *serve(void *argument) {
  Member me = *(Member *)argument;
  free(argument);
  for (long seen = 0;; seen++) {
    pthread_mutex_lock(&me.crew->lock);
    while (me.crew->calls == seen && !me.crew->closing) pthread_cond_wait(&me.crew->call, &me.crew->lock);
    int closing = me.crew->closing;
    pthread_mutex_unlock(&me.crew->lock);
    if (closing) return NULL;
    me.crew->work(me.crew->job, me.number);
    pthread_mutex_lock(&me.crew->lock);
    if (!--me.crew->busy) pthread_cond_signal(&me.crew->done);
    pthread_mutex_unlock(&me.crew->lock);
  }
}

/* Call work(job, number) once in each thread, 0 in this one, and wait for all */
static void together(Crew *crew, void (*work)(void *, int), void *job) {
  if (crew->size > 1) {
    pthread_mutex_lock(&crew->lock);
    crew->work = work, crew->job = job, crew->busy = crew->size - 1, crew->calls++;
    pthread_cond_broadcast(&crew->call);
    pthread_mutex_unlock(&crew->lock);
  }
  work(job, 0);
  if (crew->size > 1) {
    pthread_mutex_lock(&crew->lock);
    while (crew->busy) pthread_cond_wait(&crew->done, &crew->lock);
    pthread_mutex_unlock(&crew->lock);
  }
}

static void disband(Crew *crew) {
  pthread_mutex_lock(&crew->lock);
  crew->closing = 1;
  pthread_cond_broadcast(&crew->call);
  pthread_mutex_unlock(&crew->lock);
  for (int i = 0; i + 1 < crew->size; i++) pthread_join(crew->threads[i], NULL);
  free(crew);
}

/* NULL where a thread cannot be had */
static Crew *assemble(int size) {
  Crew *crew = calloc(1, sizeof *crew + sizeof(pthread_t) * size);
  if (!crew) return NULL;
  pthread_mutex_init(&crew->lock, NULL), pthread_cond_init(&crew->call, NULL), pthread_cond_init(&crew->done, NULL);
  for (crew->size = 1; crew->size < size; crew->size++) {
    Member *member = malloc(sizeof *member);
    if (member) *member = (Member){crew, crew->size};
    if (!member || pthread_create(&crew->threads[crew->size - 1], NULL, serve, member)) {
      free(member), disband(crew);
      return NULL;
    }
  }
  return crew;
}
