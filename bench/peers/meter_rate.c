/* The rate that DPDK's srTCM (RFC 2697) lets through, in virtual time: a tick of its clock is a nanosecond.
 * Usage: meter_rate RATE_BPS BURST_BYTES SIZE_BYTES START_NS PACKETS
 *
 * Packets come at twice the rate from START_NS on, after a burst at one instant that takes all tokens. The
 * first line names the ticks and bytes of one step, as the library rounds them; then come the times at
 * which a packet was green. The profile is made by the library's own function: the rate of the clock,
 * for which it asks, is the one below instead of that of the machine. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include <rte_cycles.h>
#include <rte_meter.h>

uint64_t rte_get_tsc_hz(void) { return 1000000000; }

int main(int argc, char **argv)
{
    if (argc != 6) {
        fprintf(stderr, "usage: meter_rate RATE_BPS BURST_BYTES SIZE_BYTES START_NS PACKETS\n");
        return 2;
    }
    uint64_t rate_bps = strtoull(argv[1], NULL, 10), burst = strtoull(argv[2], NULL, 10);
    uint64_t size = strtoull(argv[3], NULL, 10), start = strtoull(argv[4], NULL, 10);
    uint64_t packets = strtoull(argv[5], NULL, 10);
    struct rte_meter_srtcm_params params = {.cir = rate_bps / 8, .cbs = burst, .ebs = 0};
    struct rte_meter_srtcm_profile profile;
    struct rte_meter_srtcm meter;
    if (rte_meter_srtcm_profile_config(&profile, &params) || rte_meter_srtcm_config(&meter, &profile)) {
        fprintf(stderr, "meter_rate: the library does not take these parameters\n");
        return 1;
    }
    meter.time = 0; /* the library reads the machine's counter here; ours begins at 0 */
    printf("%" PRIu64 " %" PRIu64 "\n", profile.cir_period, profile.cir_bytes_per_period);
    uint64_t at_once = burst / size + 1;
    for (uint64_t k = 0; k < at_once + packets; k++) {
        uint64_t sent = k < at_once ? 0 : k - at_once + 1;
        uint64_t now = start + (uint64_t)((unsigned __int128)sent * size * 4000000000u / rate_bps);
        if (rte_meter_srtcm_color_blind_check(&meter, &profile, now, (uint32_t)size) == RTE_COLOR_GREEN)
            printf("%" PRIu64 "\n", now);
    }
    return 0;
}
