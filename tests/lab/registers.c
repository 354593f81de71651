/*
 * Preloaded into the guest kernel on processors with AMX.
 *
 * The guest kernel keeps 2.7 kB of a program's registers. PTRACE_SETREGSET takes NT_X86_XSTATE only whole (ptrace(2); on
 * Linux -EFAULT otherwise), which with AMX's tiles is 11 kB: no program of a guest could be started. What is missing is
 * filled up with zeros, the state of components that are not in use: a guest's programs cannot ask for tiles.
 */
#define _GNU_SOURCE
#include <elf.h>
#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define MOST 65536

long ptrace(enum __ptrace_request request, ...)
{
    va_list rest;
    va_start(rest, request);
    long pid = va_arg(rest, int);
    void *address = va_arg(rest, void *);
    void *data = va_arg(rest, void *);
    va_end(rest);

    if (request == PTRACE_PEEKTEXT || request == PTRACE_PEEKDATA || request == PTRACE_PEEKUSER) {
        long word; /* the system call stores it; the library's function returns it */
        if (syscall(SYS_ptrace, (long)request, pid, address, &word) < 0)
            return -1;
        errno = 0;
        return word;
    }
    if (request == PTRACE_SETREGSET && address == (void *)NT_X86_XSTATE) {
        static unsigned char registers[MOST];
        const struct iovec *given = data;
        struct iovec whole = {registers, MOST};
        if (syscall(SYS_ptrace, (long)PTRACE_GETREGSET, pid, address, &whole) < 0)
            return -1;
        if (given->iov_len < whole.iov_len) {
            memset(registers, 0, whole.iov_len);
            memcpy(registers, given->iov_base, given->iov_len);
            return syscall(SYS_ptrace, (long)request, pid, address, &whole);
        }
    }
    return syscall(SYS_ptrace, (long)request, pid, address, data);
}
