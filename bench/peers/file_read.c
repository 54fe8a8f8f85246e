/* The floor under every reader: the file's bytes are copied out of the page cache, 1 MB a read.
 * Usage: file_read FILE PACKETS ROUNDS; PACKETS is what the time is divided by. */
#include "peer.h"

#include <fcntl.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    const size_t block = (size_t)1 << 20;
    if (argc != 4)
        fail(argv[0], "usage: file_read FILE PACKETS ROUNDS");
    uint64_t packets = strtoull(argv[2], NULL, 10);
    long rounds = strtol(argv[3], NULL, 10);
    char *buffer = table(block);
    for (long done = 0; next_round(rounds, done); done++) {
        uint64_t bytes = 0;
        ssize_t got;
        double begin = now_ns();
        int file = open(argv[1], O_RDONLY);
        if (file < 0)
            fail(argv[1], "cannot open");
        while ((got = read(file, buffer, block)) > 0)
            bytes += (uint64_t)got;
        close(file);
        answer((now_ns() - begin) / (double)packets, packets, bytes);
    }
    return 0;
}
