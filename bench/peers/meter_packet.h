/* What the peers of the metering kernel know of a packet. */
#ifndef PKTOLL_METER_PACKET_H
#define PKTOLL_METER_PACKET_H

#include <stdint.h>

enum { BATCH = 16384 }; /* bench/draw.py has the same */

struct packet {
    uint64_t time_ns;
    uint32_t sim;
    uint32_t length;
};

/* 112.5 Mbit/s as rte_meter keeps a rate, whose own functions take the rate of the time stamp counter from the
 * EAL, which is not started here (0 Hz). Time is handed in as ns, so this is for 1e9 Hz, by the rule of those
 * functions: the shortest whole number of bytes that takes at least 100 ticks to earn. */
static const double BYTES_PER_S = 112500000.0 / 8;
static const uint64_t BURST_BYTES = 1500000;

static inline uint64_t bytes_per_period(void)
{
    double ticks = 1e9 / BYTES_PER_S;
    return ticks < 100.0 ? (uint64_t)(100.0 / ticks) + 1 : 1;
}

static inline uint64_t period(void)
{
    return (uint64_t)(1e9 * (double)bytes_per_period() / BYTES_PER_S);
}

#endif
