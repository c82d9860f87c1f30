/* Compares every number and layout that src/system declares by hand with the headers of the system for which this
 * file is compiled. There is nothing to run: if a number or a layout is wrong, the file does not compile.
 *
 *     cc -c -o /dev/null .ci/abi.c
 *     x86_64-w64-mingw32-gcc -c -o /dev/null .ci/abi.c
 *     zig cc -target aarch64-macos -c -o /dev/null .ci/abi.c
 */
#define _GNU_SOURCE 1
#undef _WIN32_WINNT
#define _WIN32_WINNT 0x0A00
#include <stddef.h>
#define SAME(a, b) _Static_assert((a) == (b), #a " == " #b)
#define AT(type, member, offset) SAME(offsetof(type, member), offset)

#ifdef _WIN32

#include <winsock2.h>
#include <ws2tcpip.h>
#include <windows.h>

/* windows/poll.rs */
SAME(POLLRDNORM, 0x100); SAME(POLLWRNORM, 0x10); SAME(POLLERR, 1);
SAME(sizeof(WSAPOLLFD), sizeof(SOCKET) == 8 ? 16 : 8);
AT(WSAPOLLFD, events, sizeof(SOCKET)); AT(WSAPOLLFD, revents, sizeof(SOCKET) + 2);
SAME(sizeof(ULONG), 4); SAME(sizeof(SOCKET), sizeof(void *));

/* windows/socket.rs */
SAME(SOL_SOCKET, 0xFFFF); SAME(SO_KEEPALIVE, 8); SAME(SO_OOBINLINE, 0x100); SAME(IPPROTO_TCP, 6);
#ifdef TCP_KEEPIDLE /* Older headers do not have these options. */
SAME(TCP_KEEPIDLE, 3); SAME(TCP_MAXRT, 5); SAME(TCP_KEEPCNT, 16); SAME(TCP_KEEPINTVL, 17);
#endif
SAME(WSA_OPERATION_ABORTED, 995); SAME(WSAETIMEDOUT, 10060);

/* windows/signal.rs */
SAME(CTRL_C_EVENT, 0); SAME(CTRL_BREAK_EVENT, 1); SAME(CTRL_CLOSE_EVENT, 2);
_Static_assert(CTRL_LOGOFF_EVENT > 2 && CTRL_SHUTDOWN_EVENT > 2, "what ends the process has higher numbers");
SAME(sizeof(BOOL), sizeof(int));

/* windows/terminal.rs */
SAME(ENABLE_PROCESSED_INPUT, 1); SAME(ENABLE_LINE_INPUT, 2); SAME(ENABLE_ECHO_INPUT, 4);
SAME(ENABLE_VIRTUAL_TERMINAL_INPUT, 0x200);
SAME(ENABLE_PROCESSED_OUTPUT, 1); SAME(ENABLE_VIRTUAL_TERMINAL_PROCESSING, 4); SAME(DISABLE_NEWLINE_AUTO_RETURN, 8);
SAME(sizeof(CONSOLE_SCREEN_BUFFER_INFO), 11 * 2);
AT(CONSOLE_SCREEN_BUFFER_INFO, srWindow.Left, 5 * 2); AT(CONSOLE_SCREEN_BUFFER_INFO, srWindow.Right, 7 * 2);
SAME(sizeof(SYSTEMTIME), 8 * 2); AT(SYSTEMTIME, wHour, 4 * 2); AT(SYSTEMTIME, wMinute, 5 * 2);

#else

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#if !defined __linux__ && !defined __APPLE__ && !defined __FreeBSD__
#error "Its numbers are not in src/system/unix."
#endif

/* unix/poll.rs */
SAME(POLLIN, 1); SAME(POLLOUT, 4); SAME(POLLERR, 8); SAME(POLLHUP, 16);
SAME(sizeof(struct pollfd), 8); AT(struct pollfd, events, 4); AT(struct pollfd, revents, 6);

/* unix/signal.rs, unix/terminal.rs */
SAME(SIGHUP, 1); SAME(SIGINT, 2); SAME(SIGTERM, 15); SAME(SIGTTIN, 21); SAME(SIGTTOU, 22); SAME(SIGWINCH, 28);
SAME((intptr_t)SIG_DFL, 0); SAME((intptr_t)SIG_IGN, 1);
SAME(STDIN_FILENO, 0); SAME(STDOUT_FILENO, 1); SAME(TCSANOW, 0);
SAME(sizeof(struct winsize), 8); AT(struct winsize, ws_col, 2);
_Static_assert(sizeof(struct termios) <= 256 && sizeof(struct tm) <= 256, "they fit into `Opaque`");
_Static_assert(_Alignof(struct termios) <= 16 && _Alignof(struct tm) <= 16, "they are aligned as `Opaque` is");
#ifndef __ANDROID__
AT(struct sigaction, sa_handler, 0);
#elif __LP64__
AT(struct sigaction, sa_handler, 8);
#endif
_Static_assert(sizeof(struct sigaction) <= 256 && _Alignof(struct sigaction) <= 16, "as for `struct termios`");
AT(siginfo_t, si_signo, 0); AT(siginfo_t, si_errno, 4); AT(siginfo_t, si_code, 8);
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
_Static_assert(sizeof(time_t) <= 8, "a part of an `i64` that lies at its start");
#else
SAME(sizeof(time_t), 8);
#endif

/* unix/descriptor.rs, unix/socket.rs */
SAME(sizeof(struct rlimit), 2 * sizeof(rlim_t)); AT(struct rlimit, rlim_max, sizeof(rlim_t));
SAME(sizeof(socklen_t), 4); SAME(IPPROTO_TCP, 6);

/* unix/send.rs, which macOS does not use */
#ifndef __APPLE__
AT(struct msghdr, msg_namelen, sizeof(void *)); AT(struct msghdr, msg_iov, 2 * sizeof(void *));
AT(struct msghdr, msg_iovlen, 3 * sizeof(void *)); AT(struct msghdr, msg_control, 4 * sizeof(void *));
AT(struct msghdr, msg_controllen, 5 * sizeof(void *));
#endif

#ifdef __linux__ /* unix/numbers.rs, also for Android */
# ifdef __ANDROID__
SAME(sizeof(nfds_t), 4); SAME(sizeof(rlim_t), sizeof(long));
# else
SAME(sizeof(nfds_t), sizeof(long));
#  ifdef __GLIBC__
SAME(sizeof(rlim_t), sizeof(long)); SAME(sizeof(mode_t), 4);
#  else /* musl */
SAME(sizeof(rlim_t), 8); SAME(sizeof(mode_t), 4);
#  endif
# endif
SAME(RLIMIT_NOFILE, 7); SAME(SIGTSTP, 20); SAME(SIGCONT, 18); SAME(TIOCGWINSZ, 0x5413);
SAME(SIGBUS, 7); SAME(SIGSEGV, 11); SAME(SIGPIPE, 13); SAME(SIGCHLD, 17); SAME(SIGURG, 23); SAME(SIGKILL, 9);
SAME(SIGSTOP, 19);
SAME(SOL_SOCKET, 1); SAME(SO_KEEPALIVE, 9); SAME(SO_OOBINLINE, 10);
SAME(TCP_KEEPIDLE, 4); SAME(TCP_KEEPINTVL, 5); SAME(TCP_KEEPCNT, 6);
SAME(TCP_NOTSENT_LOWAT, 25); SAME(TCP_USER_TIMEOUT, 18);
SAME(MSG_DONTWAIT, 0x40); SAME(MSG_NOSIGNAL, 0x4000);
AT(struct msghdr, msg_flags, 6 * sizeof(void *)); SAME(sizeof(struct msghdr), 7 * sizeof(void *));

#else /* unix/numbers.rs for macOS and FreeBSD */
SAME(sizeof(nfds_t), 4); SAME(sizeof(rlim_t), 8); SAME(sizeof(mode_t), 2);
SAME(RLIMIT_NOFILE, 8); SAME(SIGTSTP, 18); SAME(SIGCONT, 19);
SAME((unsigned)TIOCGWINSZ, 0x40087468);
SAME(SIGBUS, 10); SAME(SIGSEGV, 11); SAME(SIGPIPE, 13); SAME(SIGCHLD, 20); SAME(SIGURG, 16); SAME(SIGKILL, 9);
SAME(SIGSTOP, 17); SAME(SIGIO, 23); SAME(SIGINFO, 29);
SAME(SOL_SOCKET, 0xFFFF); SAME(SO_KEEPALIVE, 8); SAME(SO_OOBINLINE, 0x100);
# ifdef __APPLE__
SAME(TCP_KEEPALIVE, 0x10); SAME(TCP_KEEPINTVL, 0x101); SAME(TCP_KEEPCNT, 0x102);
SAME(TCP_NOTSENT_LOWAT, 0x201); SAME(TCP_RXT_CONNDROPTIME, 0x80);
# else
SAME(TCP_KEEPIDLE, 256); SAME(TCP_KEEPINTVL, 512); SAME(TCP_KEEPCNT, 1024);
SAME(SIGRTMIN, 65); SAME(SIGRTMAX, 126);
SAME(MSG_DONTWAIT, 0x80); SAME(MSG_NOSIGNAL, 0x20000);
SAME(sizeof(((struct msghdr *)0)->msg_iovlen), 4); SAME(sizeof(((struct msghdr *)0)->msg_controllen), 4);
AT(struct msghdr, msg_flags, 5 * sizeof(void *) + 4);
# endif
#endif

#endif
