/* healthy: ends with 0 if the frontend answers GET /health with 200 on this machine. An image without a shell needs a
 * program for that; it is linked statically and asks the port that FRONTEND_PORT names. */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int main(void) {
    static const char request[] = "GET /health HTTP/1.0\r\n\r\n";
    static const char wanted[] = "HTTP/1.0 200 ";
    const char *named = getenv("FRONTEND_PORT");
    char *end = NULL;
    long port = named ? strtol(named, &end, 10) : 0;
    char answer[sizeof wanted - 1];
    size_t have = 0;

    if (port < 1 || port > 65535 || *end != '\0')
        return 1;
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    here.sin_port = htons((unsigned short)port);
    alarm(4);
    int connection = socket(AF_INET, SOCK_STREAM, 0);
    if (connection < 0 || connect(connection, (struct sockaddr *)&here, sizeof here) != 0)
        return 1;
    if (write(connection, request, sizeof request - 1) != (ssize_t)(sizeof request - 1))
        return 1;
    while (have < sizeof answer) {
        ssize_t got = read(connection, answer + have, sizeof answer - have);
        if (got <= 0)
            return 1;
        have += (size_t)got;
    }
    return memcmp(answer, wanted, sizeof answer) != 0;
}
