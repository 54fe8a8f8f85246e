/* The LTE side and the internet of the live benchmark: sends packets of N sessions, counts what comes out.
 * Usage: live_blast SESSIONS GTPU_FROM GTPU_TO SGI_FROM SGI_TO HOST
 *
 * SESSIONS: a file with "TEID ADDRESS" a line, the uplink TEID and the terminal's IPv4 address. *_FROM and
 * *_TO are ADDRESS:PORT. G-PDUs that come down are counted at GTPU_FROM, what comes up at SGI_FROM, or at HOST
 * where the system routes it.
 * HOST is the internet's address, with which the terminals speak.
 *
 * A round is a line on standard input: WAY SIZE_BYTES PACKETS_PER_S MS, where WAY is
 *   up     G-PDUs to GTPU_TO, out of GTPU_FROM's address
 *   sgi    inner packets, one a datagram, from SGI_FROM to SGI_TO
 *   ip     packets that the system routes to the terminals, from HOST
 * and 0 packets a second mean as many as it can. It is answered with "SENT NS RECEIVED": received are
 * the packets of this round only, each numbered, until none has come for 50 ms. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include "peer.h"

enum { BATCH = 64, SINK_BATCH = 256, ROOM = 2048, HEAD = 64, IP_UDP = 28, GTP = 8, MARK = 8, BUFFER = 256 << 20 };
enum { PORT = 9 };
#define QUIET_NS 50e6

struct session {
    uint32_t teid, address; /* both as on the wire */
};

static struct session *sessions;
static size_t count;
static int user, internet, routed; /* sockets: at GTPU_FROM, SGI_FROM and HOST */
static struct sockaddr_in gtpu_from, gtpu_to, sgi_from, sgi_to;
static uint32_t host;
static volatile uint32_t number; /* of the round */
static volatile uint64_t received;
static volatile double last_ns;

static struct sockaddr_in parse(const char *text)
{
    struct sockaddr_in found = {.sin_family = AF_INET};
    char address[64];
    const char *colon = strrchr(text, ':');
    if (!colon || colon - text >= (long)sizeof address)
        fail("no ADDRESS:PORT", text);
    memcpy(address, text, (size_t)(colon - text));
    address[colon - text] = 0;
    found.sin_port = htons((uint16_t)atoi(colon + 1));
    if (inet_pton(AF_INET, address, &found.sin_addr) != 1)
        fail("no address", text);
    return found;
}

static int bound(struct sockaddr_in where)
{
    int sock = socket(AF_INET, SOCK_DGRAM, 0), size = BUFFER;
    if (sock < 0 || bind(sock, (struct sockaddr *)&where, sizeof where))
        fail("cannot listen", strerror(errno));
    if (setsockopt(sock, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size))
        setsockopt(sock, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    return sock;
}

static void read_sessions(const char *path)
{
    FILE *file = fopen(path, "r");
    char address[64];
    unsigned long teid;
    if (!file)
        fail(path, strerror(errno));
    sessions = table(sizeof *sessions << 17);
    while (count < 1 << 17 && fscanf(file, "%lu %63s", &teid, address) == 2) {
        sessions[count].teid = htonl((uint32_t)teid);
        if (inet_pton(AF_INET, address, &sessions[count++].address) != 1)
            fail("no address", address);
    }
    fclose(file);
    if (!count)
        fail(path, "no sessions");
}

/* IPv4 and UDP, `size` bytes with its header, from one address to another. */
static void put_packet(uint8_t *at, uint32_t from, uint32_t to, unsigned size)
{
    uint16_t words[10];
    uint32_t sum = 0;
    memset(at, 0, size);
    at[0] = 0x45;
    at[2] = (uint8_t)(size >> 8);
    at[3] = (uint8_t)size;
    at[8] = 64;
    at[9] = IPPROTO_UDP;
    memcpy(at + 12, &from, 4);
    memcpy(at + 16, &to, 4);
    memcpy(words, at, 20);
    for (int k = 0; k < 10; k++)
        sum += words[k];
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    words[5] = (uint16_t)~sum;
    memcpy(at + 10, &words[5], 2);
    at[21] = at[23] = PORT;
    at[24] = (uint8_t)((size - 20) >> 8);
    at[25] = (uint8_t)(size - 20);
}

/* One datagram of a session into `at`; its length. The last bytes are the mark: round and number. */
static unsigned put(uint8_t *at, char way, const struct session *to, unsigned size, uint32_t sent)
{
    unsigned length = size;
    uint32_t mark[2] = {number, sent};
    if (way == 'u') {
        const uint8_t head[4] = {0x30, 255, (uint8_t)(size >> 8), (uint8_t)size};
        memcpy(at, head, 4);
        memcpy(at + 4, &to->teid, 4);
        put_packet(at + GTP, to->address, host, size);
        length += GTP;
    } else if (way == 's') {
        put_packet(at, host, to->address, size);
    } else {
        length -= IP_UDP; /* the system puts the headers in front */
        memset(at, 0, length);
    }
    memcpy(at + (way == 'u' ? GTP + IP_UDP : way == 's' ? IP_UDP : 0), mark, MARK);
    return length;
}

/* Datagrams of both sinks, their heads only; those of an earlier round are not counted. */
static void *sink(void *unused)
{
    static uint8_t heads[SINK_BATCH][HEAD];
    struct mmsghdr messages[SINK_BATCH];
    struct iovec vectors[SINK_BATCH];
    struct pollfd ready[3] = {{user, POLLIN, 0}, {internet, POLLIN, 0}, {routed, POLLIN, 0}};
    memset(messages, 0, sizeof messages);
    for (int k = 0; k < SINK_BATCH; k++) {
        vectors[k] = (struct iovec){heads[k], HEAD};
        messages[k].msg_hdr.msg_iov = &vectors[k];
        messages[k].msg_hdr.msg_iovlen = 1;
    }
    for (;;) {
        poll(ready, 3, -1);
        for (int which = 0; which < 3; which++) {
            int got = 0;
            if (ready[which].revents)
                got = recvmmsg(ready[which].fd, messages, SINK_BATCH, MSG_DONTWAIT, NULL);
            uint64_t counted = 0;
            for (int k = 0; k < got; k++) {
                /* osmo-ggsn puts a sequence number into the header of G-PDUs: four bytes more. */
                int begin = which == 2 ? 0 : which == 1 ? IP_UDP : IP_UDP + (heads[k][0] & 7 ? GTP + 4 : GTP);
                uint32_t round;
                memcpy(&round, heads[k] + begin, 4);
                counted += messages[k].msg_len >= (unsigned)(begin + MARK) && round == number;
            }
            if (counted) {
                received += counted;
                last_ns = now_ns();
            }
        }
    }
    return unused;
}

static void wait_until(double when)
{
    struct timespec t = {(time_t)(when / 1e9), 0};
    t.tv_nsec = (long)(when - (double)t.tv_sec * 1e9);
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
}

/* Send for `ms`, `rate` a second, 0: as many as go; packets that the system took. */
static uint64_t blast(char way, unsigned size, double rate, double ms, double *took_ns)
{
    static uint8_t buffers[BATCH][ROOM];
    static struct sockaddr_in names[BATCH];
    struct mmsghdr messages[BATCH];
    struct iovec vectors[BATCH];
    int sock = way == 'u' ? user : way == 's' ? internet : routed;
    uint64_t sent = 0, tried = 0;
    unsigned batch = rate > 0 && rate * 200e-6 < BATCH ? (unsigned)(rate * 200e-6) + 1 : BATCH;
    memset(messages, 0, sizeof messages);
    for (int k = 0; k < BATCH; k++) {
        vectors[k].iov_base = buffers[k];
        messages[k].msg_hdr = (struct msghdr){
            .msg_name = &names[k], .msg_namelen = sizeof names[k], .msg_iov = &vectors[k], .msg_iovlen = 1};
        names[k] = way == 'u' ? gtpu_to : sgi_to;
        names[k].sin_family = AF_INET;
        if (way == 'i')
            names[k].sin_port = htons(PORT);
    }
    double begin = now_ns(), end = begin + ms * 1e6;
    while (now_ns() < end) {
        for (unsigned k = 0; k < batch; k++) {
            const struct session *to = &sessions[(tried + k) % count];
            vectors[k].iov_len = put(buffers[k], way, to, size, (uint32_t)(tried + k));
            if (way == 'i')
                names[k].sin_addr.s_addr = to->address;
        }
        int went = sendmmsg(sock, messages, batch, 0);
        if (went < 0 && errno != ENOBUFS && errno != ECONNREFUSED && errno != EAGAIN)
            fail("cannot send", strerror(errno));
        tried += batch;
        sent += went > 0 ? (uint64_t)went : 0;
        if (rate > 0)
            wait_until(begin + (double)tried * 1e9 / rate);
    }
    *took_ns = now_ns() - begin;
    return sent;
}

int main(int argc, char **argv)
{
    char line[128], way[8];
    unsigned size;
    double rate, ms, took_ns;
    pthread_t thread;
    if (argc != 7)
        fail("usage", "live_blast SESSIONS GTPU_FROM GTPU_TO SGI_FROM SGI_TO HOST");
    read_sessions(argv[1]);
    gtpu_from = parse(argv[2]);
    gtpu_to = parse(argv[3]);
    sgi_from = parse(argv[4]);
    sgi_to = parse(argv[5]);
    struct sockaddr_in from = {.sin_family = AF_INET};
    if (inet_pton(AF_INET, argv[6], &host) != 1)
        fail("no address", argv[6]);
    from.sin_addr.s_addr = host;
    from.sin_port = htons(PORT);
    user = bound(gtpu_from);
    internet = bound(sgi_from);
    routed = bound(from);
    if (pthread_create(&thread, NULL, sink, NULL))
        fail("sink", "no thread");
    puts("ready");
    fflush(stdout);
    while (fgets(line, sizeof line, stdin)) {
        if (sscanf(line, "%7s %u %lf %lf", way, &size, &rate, &ms) != 4 || size < IP_UDP + MARK || size > ROOM - GTP)
            fail("no round", line);
        number++;
        received = 0;
        uint64_t sent = blast(way[0], size, rate, ms, &took_ns);
        for (last_ns = now_ns(); now_ns() - last_ns < QUIET_NS;)
            usleep(5000);
        printf("%llu %.0f %llu\n", (unsigned long long)sent, took_ns, (unsigned long long)received);
        fflush(stdout);
    }
    return 0;
}
