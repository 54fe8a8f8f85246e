/* The floor under any accounting: a SIM's row is asked for early and two of its counters are added to.
 * No limit, no quota, no verdict that says anything. How it is called: meter_frame.h. */
#include <stddef.h>
#include <stdint.h>

#include "meter_packet.h"

struct sim {
    uint64_t packets;
    uint64_t bytes;
    uint64_t rest[6];
} __attribute__((aligned(64)));
_Static_assert(sizeof(struct sim) == 64, "one cache line");

static void start(struct sim *sim)
{
    sim->packets = sim->bytes = 0;
}

static void meter(struct sim *sims, const struct packet *packets, uint8_t *verdicts, size_t n, size_t ahead)
{
    for (size_t k = 0; k < n; k++) {
        if (k + ahead < n)
            __builtin_prefetch(&sims[packets[k + ahead].sim], 1, 3);
        struct sim *sim = &sims[packets[k].sim];
        sim->packets += 1;
        sim->bytes += packets[k].length;
        verdicts[k] = 1;
    }
}

#include "meter_frame.h"
