/* What the peers of the metering kernel share: the draw of packets, rounds, and one or two cores.
 *
 * A peer defines `struct sim` (one cache line), `start` (fills in a new SIM) and `meter`, and includes this
 * file after them. Usage: NAME SIMS PACKETS STEP_NS CORES SIZES RANKS [ROWS]. A line on standard input is a round:
 * "AHEAD SEED" or "AHEAD SEED SEED". A row is asked for AHEAD packets before its turn. With two seeds two
 * threads meter at once, each PACKETS packets of one half of the SIMs, on the cores of the comma-separated
 * list CORES; the answer's ns is then that of the sum of their rates. SIZES: eight lengths with commas.
 * RANKS: "uniform", "bursty" (runs of one SIM that end after each packet with a chance of 1 in 16), or a file
 * of 2^14 + 1 ranks, 4 bytes each: rank below which so many 2^14ths of the packets are. ROWS: a file to which the
 * SIMs' rows are written at the end.
 *
 * bench/draw.py draws the same packets from the same seeds. They are made batch by batch just before they are
 * metered, so that they are in the cache, as a parser would leave them; only the metering is timed, and that not in
 * the first quarter of a round: the turns before it were another program's, so the caches hold nothing of this one. */
#ifndef PKTOLL_METER_FRAME_H
#define PKTOLL_METER_FRAME_H

#include "peer.h"

#include <pthread.h>
#include <sched.h>

enum { WORKERS = 2, SIZES = 8, QUANTILE_BITS = 14, UNTIMED_PART = 4 };
static const uint64_t SCATTER = 2654435761u; /* prime, so a step through any table of fewer SIMs */

enum choice { UNIFORM, BURSTY, RANKED };

struct draw {
    enum choice choice;
    uint64_t sims, random, time_ns, step_ns, last;
    uint32_t sizes[SIZES];
    const uint32_t *ranks;
};

struct worker {
    struct sim *sims;
    struct packet *packets;
    uint8_t *verdicts;
    struct draw draw;
    size_t n, ahead;
    int core; /* -1: wherever the process is */
    double took_ns;
    uint64_t forwarded, bytes;
};

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

/* A SIM by rank: the bounds of one of 2^14 pieces, and evenly between them. Half of the SIMs are drawn with the
 * ranks of all: the less frequent half falls upon the other, which changes little. */
static uint64_t ranked(const struct draw *draw, uint64_t r)
{
    uint64_t piece = r >> (64 - QUANTILE_BITS), low = draw->ranks[piece];
    uint64_t width = draw->ranks[piece + 1] - low;
    uint64_t rank = low + ((r >> 16 & 0xffffffff) * width >> 32);
    return rank * SCATTER % draw->sims;
}

static void fill(struct draw *draw, struct packet *packets, size_t n)
{
    for (size_t k = 0; k < n; k++) {
        uint64_t r = next_random(&draw->random), even = (r >> 32) * draw->sims >> 32;
        if (draw->choice == RANKED)
            draw->last = ranked(draw, r);
        else if (draw->choice == UNIFORM || (r >> 4 & 15) == 0)
            draw->last = even;
        packets[k].time_ns = draw->time_ns += draw->step_ns;
        packets[k].sim = (uint32_t)draw->last;
        packets[k].length = draw->sizes[r % SIZES];
    }
}

/* How many of a round's first packets are not timed: whole batches. */
static size_t untimed(const struct worker *w)
{
    return w->n / BATCH / UNTIMED_PART * BATCH;
}

static __attribute__((noinline)) double part(struct worker *w, size_t n)
{
    double took_ns = 0;
    for (size_t first = 0; first < n; first += BATCH) {
        size_t length = n - first < BATCH ? n - first : BATCH;
        fill(&w->draw, w->packets, length);
        double begin = now_ns();
        meter(w->sims, w->packets, w->verdicts, length, w->ahead);
        took_ns += now_ns() - begin;
        for (size_t k = 0; k < length; k++) {
            w->forwarded += w->verdicts[k];
            w->bytes += w->verdicts[k] ? w->packets[k].length : 0;
        }
    }
    return took_ns;
}

static void *work(void *of)
{
    struct worker *w = of;
    cpu_set_t cores;
    CPU_ZERO(&cores);
    if (w->core >= 0) {
        CPU_SET(w->core, &cores);
        sched_setaffinity(0, sizeof cores, &cores);
    }
    w->forwarded = w->bytes = 0;
    part(w, untimed(w));
    w->took_ns = part(w, w->n - untimed(w));
    return NULL;
}

/* One round of `count` workers at once; prints the ns of a packet at the sum of their rates. */
static void round_of(struct worker *workers, int count)
{
    pthread_t threads[WORKERS];
    double rate = 0;
    uint64_t forwarded = 0, bytes = 0;
    if (count == 1)
        work(workers);
    else
        for (int t = 0; t < count; t++)
            if (pthread_create(&threads[t], NULL, work, &workers[t]))
                fail("pthread_create", "no thread");
    for (int t = 0; t < count; t++) {
        if (count > 1)
            pthread_join(threads[t], NULL);
        rate += (double)(workers[t].n - untimed(&workers[t])) / workers[t].took_ns;
        forwarded += workers[t].forwarded;
        bytes += workers[t].bytes;
    }
    answer(1 / rate, forwarded, bytes);
}

static void set_draw(struct draw *draw, char **argv)
{
    char *at = argv[5];
    draw->step_ns = strtoull(argv[3], NULL, 10);
    for (int k = 0; k < SIZES; k++, at += *at == ',')
        draw->sizes[k] = (uint32_t)strtoul(at, &at, 10);
    draw->choice = !strcmp(argv[6], "uniform") ? UNIFORM : !strcmp(argv[6], "bursty") ? BURSTY : RANKED;
    if (draw->choice != RANKED)
        return;
    const size_t count = ((size_t)1 << QUANTILE_BITS) + 1;
    uint32_t *ranks = table(count * sizeof *ranks);
    FILE *file = fopen(argv[6], "rb");
    if (!file || fread(ranks, sizeof *ranks, count, file) != count)
        fail(argv[6], "no table of ranks");
    fclose(file);
    draw->ranks = ranks;
}

/* Workers `count`, each with its part of the rows, ready for a round that begins at `time_ns`. */
static void prepare(struct worker *workers, int count, struct sim *rows, size_t sims, uint64_t time_ns)
{
    for (int t = 0; t < count; t++) {
        struct worker *w = &workers[t];
        w->draw.sims = sims / (size_t)count;
        w->sims = rows + (size_t)t * w->draw.sims;
        w->draw.time_ns = time_ns;
        w->draw.last = 0;
    }
}

int main(int argc, char **argv)
{
    if (argc != 7 && argc != 8)
        fail(argv[0], "usage: SIMS PACKETS STEP_NS CORES SIZES RANKS [ROWS]; then lines: AHEAD SEED [SEED]");
    size_t sims = strtoull(argv[1], NULL, 10), n = strtoull(argv[2], NULL, 10);
    struct sim *rows = table(sims * sizeof *rows);
    struct worker workers[WORKERS] = {{0}};
    char *core = argv[4], line[128];
    for (size_t i = 0; i < sims; i++)
        start(&rows[i]);
    set_draw(&workers[0].draw, argv);
    for (int t = 0; t < WORKERS; t++, core += *core == ',') {
        workers[t].draw = workers[0].draw;
        workers[t].packets = table(BATCH * sizeof *workers[t].packets);
        workers[t].verdicts = table(BATCH);
        workers[t].core = *core ? (int)strtol(core, &core, 10) : -1;
    }
    uint64_t time_ns = 0;
    while (fgets(line, sizeof line, stdin)) {
        unsigned long long ahead, seeds[WORKERS];
        int count = sscanf(line, "%llu %llu %llu", &ahead, &seeds[0], &seeds[1]) - 1;
        if (count < 1)
            fail(argv[0], "a round is: AHEAD SEED [SEED]");
        prepare(workers, count, rows, sims, time_ns);
        for (int t = 0; t < count; t++) {
            workers[t].n = n;
            workers[t].ahead = ahead;
            workers[t].draw.random = seeds[t];
        }
        round_of(workers, count);
        time_ns += n * workers[0].draw.step_ns;
    }
    FILE *out = argc == 8 ? fopen(argv[7], "wb") : NULL;
    if (argc == 8 && (!out || fwrite(rows, sizeof *rows, sims, out) != sims || fclose(out)))
        fail(argv[7], "cannot be written");
    return 0;
}

#endif
