/* probe PORT: the health check of an image without a shell. Ends with 0 when the root answers 200 over HTTP/1.0. */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int main(int count, char **arguments) {
    static const char asked[] = "GET / HTTP/1.0\r\n\r\n";
    char answer[12];
    size_t have = 0;
    struct sockaddr_in place = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int connection = socket(AF_INET, SOCK_STREAM, 0);

    if (count != 2 || connection < 0)
        return 1;
    place.sin_port = htons((unsigned short)atoi(arguments[1]));
    alarm(5);
    if (connect(connection, (struct sockaddr *)&place, sizeof place) != 0)
        return 1;
    if (write(connection, asked, sizeof asked - 1) != (ssize_t)sizeof asked - 1)
        return 1;
    while (have < sizeof answer) {
        ssize_t got = read(connection, answer + have, sizeof answer - have);
        if (got <= 0)
            return 1;
        have += (size_t)got;
    }
    return memcmp(answer, "HTTP/1.", 7) == 0 && memcmp(answer + 8, " 200", 4) == 0 ? 0 : 1;
}
