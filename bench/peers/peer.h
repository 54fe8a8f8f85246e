/* What the peers share: a clock, memory with huge pages, and rounds that a caller can interleave.
 *
 * A peer is called with a number of rounds, or with 0: then it runs one round for every line on
 * standard input. It answers each round with one line, so that two programs can take turns. */
#ifndef PKTOLL_PEER_H
#define PKTOLL_PEER_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

static inline double now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static inline void fail(const char *what, const char *why)
{
    fprintf(stderr, "%s: %s\n", what, why);
    exit(1);
}

/* Zeroed and touched, so that no page fault falls into a round. Arrays of the Python side get the same:
 * numpy asks for huge pages for every large array. */
static inline void *table(size_t bytes)
{
    const size_t page = (size_t)1 << 21;
    size_t rounded = (bytes + page - 1) / page * page;
    void *memory = aligned_alloc(page, rounded);
    if (!memory)
        fail("table", "out of memory");
#ifdef MADV_HUGEPAGE
    madvise(memory, rounded, MADV_HUGEPAGE);
#endif
    memset(memory, 0, rounded);
    return memory;
}

/* True while another round is wanted. */
static inline int next_round(long rounds, long done)
{
    char line[64];
    if (rounds > 0)
        return done < rounds;
    return fgets(line, sizeof line, stdin) != NULL;
}

static inline void answer(double ns_per_packet, uint64_t packets, uint64_t bytes)
{
    printf("%.3f %llu %llu\n", ns_per_packet, (unsigned long long)packets,
           (unsigned long long)bytes);
    fflush(stdout);
}

#endif
