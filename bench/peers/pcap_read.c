/* Peer of the replay: libpcap reads a capture and nothing else is done with it.
 * Usage: pcap_read FILE ROUNDS. Both ways of reading are timed in a round; the faster one counts. */
#include "peer.h"

#include <pcap/pcap.h>

struct sum {
    uint64_t packets, bytes;
};

static void each(u_char *user, const struct pcap_pkthdr *header, const u_char *data)
{
    struct sum *sum = (struct sum *)user;
    (void)data;
    sum->packets++;
    sum->bytes += header->len;
}

static pcap_t *opened(const char *path)
{
    char error[PCAP_ERRBUF_SIZE];
    pcap_t *capture = pcap_open_offline(path, error);
    if (!capture)
        fail(path, error);
    return capture;
}

static double by_dispatch(const char *path, struct sum *sum)
{
    double begin = now_ns();
    pcap_t *capture = opened(path);
    while (pcap_dispatch(capture, -1, each, (u_char *)sum) > 0)
        ;
    pcap_close(capture);
    return now_ns() - begin;
}

static double by_next(const char *path, struct sum *sum)
{
    struct pcap_pkthdr *header;
    const u_char *data;
    double begin = now_ns();
    pcap_t *capture = opened(path);
    while (pcap_next_ex(capture, &header, &data) == 1)
        each((u_char *)sum, header, data);
    pcap_close(capture);
    return now_ns() - begin;
}

int main(int argc, char **argv)
{
    if (argc != 3)
        fail(argv[0], "usage: pcap_read FILE ROUNDS");
    long rounds = strtol(argv[2], NULL, 10);
    for (long done = 0; next_round(rounds, done); done++) {
        struct sum a = {0, 0}, b = {0, 0};
        double dispatch = by_dispatch(argv[1], &a), next = by_next(argv[1], &b);
        if (a.packets == 0 || a.packets != b.packets)
            fail(argv[1], "no packets, or not the same number twice");
        answer((dispatch < next ? dispatch : next) / (double)a.packets, a.packets, a.bytes);
    }
    return 0;
}
