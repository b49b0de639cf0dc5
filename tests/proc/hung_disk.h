/* SPDX-License-Identifier: MIT */
/*
 * A disk that hangs: a file system by fuse(4), at a directory of its own, whose writes are not
 * answered until recover(). Everything else is, so that files can be made and opened. Who writes
 * waits in the kernel as for a disk, or a file server, that does not answer. It is a process of its
 * own: a test that is killed must not wait for itself.
 */
#ifndef HUNG_DISK_H
#define HUNG_DISK_H

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <map>
#include <string>
#include <vector>

#include <fcntl.h>
#include <linux/fuse.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* The file system, in its process. */
class HungFiles
{
public:
    /* Both sides see it. */
    struct shared {
        std::atomic<bool> hangs;
        std::atomic<size_t> held_count;
    };

    HungFiles(int device, shared *state) : fd(device), both(state) {}

    void serve()
    {
        std::vector<char> request(256 * 1024);
        struct pollfd ready = {fd, POLLIN, 0};
        for (;;) {
            const int count = poll(&ready, 1, 5);
            if (count < 0 && errno != EINTR)
                return;
            if (count > 0 && !serve_one(request))
                return;
            if (!both->hangs)
                answer_held();
        }
    }

private:
    struct write_held {
        uint64_t unique;
        uint64_t node;
        uint64_t end;
        uint32_t size;
    };

    void reply(uint64_t unique, int error, const void *bytes = nullptr, size_t size_bytes = 0)
    {
        char message[sizeof(fuse_out_header) + 512];
        fuse_out_header header = {};
        header.len = static_cast<uint32_t>(sizeof(header) + size_bytes);
        header.error = error;
        header.unique = unique;
        memcpy(message, &header, sizeof(header));
        if (size_bytes > 0)
            memcpy(message + sizeof(header), bytes, size_bytes);
        (void)!write(fd, message, header.len);
    }

    void answer_write(const write_held &each)
    {
        fuse_write_out out = {};
        out.size = each.size;
        sizes[each.node] = std::max(sizes[each.node], each.end);
        reply(each.unique, 0, &out, sizeof(out));
    }

    fuse_attr attributes(uint64_t node)
    {
        fuse_attr found = {};
        found.ino = node;
        found.mode = node == FUSE_ROOT_ID ? S_IFDIR | 0755 : S_IFREG | 0644;
        found.nlink = 1;
        found.uid = getuid();
        found.gid = getgid();
        found.size = sizes[node];
        return found;
    }

    fuse_entry_out entry(const std::string &name)
    {
        fuse_entry_out found = {};
        found.nodeid = nodes[name];
        found.attr = attributes(found.nodeid);
        return found;
    }

    void create(uint64_t unique, const std::string &name)
    {
        char message[sizeof(fuse_entry_out) + sizeof(fuse_open_out)] = {};
        if (nodes.count(name) == 0)
            nodes[name] = FUSE_ROOT_ID + 1 + nodes.size();
        const fuse_entry_out found = entry(name);
        memcpy(message, &found, sizeof(found));
        reply(unique, 0, message, sizeof(message));
    }

    void begin(uint64_t unique)
    {
        fuse_init_out out = {};
        out.major = FUSE_KERNEL_VERSION;
        out.minor = FUSE_KERNEL_MINOR_VERSION;
        out.max_write = 128 * 1024;
        reply(unique, 0, &out, sizeof(out));
    }

    void answer(const fuse_in_header &header, const char *body)
    {
        switch (header.opcode) {
        case FUSE_INIT:
            begin(header.unique);
            return;
        case FUSE_LOOKUP: {
            const fuse_entry_out found = nodes.count(body) == 0 ? fuse_entry_out() : entry(body);
            reply(header.unique, found.nodeid == 0 ? -ENOENT : 0, &found,
                    found.nodeid == 0 ? 0 : sizeof(found));
            return;
        }
        case FUSE_CREATE:
            create(header.unique, body + sizeof(fuse_create_in));
            return;
        case FUSE_SETATTR:
        case FUSE_GETATTR: {
            fuse_attr_out out = {};
            out.attr = attributes(header.nodeid);
            reply(header.unique, 0, &out, sizeof(out));
            return;
        }
        case FUSE_OPEN:
        case FUSE_OPENDIR: {
            const fuse_open_out out = {};
            reply(header.unique, 0, &out, sizeof(out));
            return;
        }
        case FUSE_WRITE:
            take_write(header, body);
            return;
        case FUSE_READ:
        case FUSE_READDIR:
        case FUSE_FLUSH:
        case FUSE_RELEASE:
        case FUSE_RELEASEDIR:
            reply(header.unique, 0);
            return;
        case FUSE_FORGET:
        case FUSE_BATCH_FORGET:
        case FUSE_INTERRUPT: /* Disks do not hear of signals. */
            return;
        default:
            reply(header.unique, -ENOSYS);
        }
    }

    void take_write(const fuse_in_header &header, const char *body)
    {
        fuse_write_in in;
        memcpy(&in, body, sizeof(in));
        held.push_back({header.unique, header.nodeid, in.offset + in.size, in.size});
        both->held_count = held.size();
    }

    void answer_held()
    {
        for (const write_held &each : held)
            answer_write(each);
        held.clear();
        both->held_count = 0;
    }

    /* False: it is not mounted any more. */
    bool serve_one(std::vector<char> &request)
    {
        const ssize_t count = read(fd, request.data(), request.size());
        if (count < static_cast<ssize_t>(sizeof(fuse_in_header)))
            return count < 0 && (errno == EINTR || errno == EAGAIN || errno == ENOENT);
        fuse_in_header header;
        memcpy(&header, request.data(), sizeof(header));
        answer(header, request.data() + sizeof(header));
        return true;
    }

    int fd;
    shared *both;
    std::vector<write_held> held;
    std::map<std::string, uint64_t> nodes;
    std::map<uint64_t, uint64_t> sizes;
};

class HungDisk
{
public:
    HungDisk()
    {
        char name[] = "/tmp/coil-hung-XXXXXX";
        directory = mkdtemp(name);
        void *memory = mmap(nullptr, sizeof(HungFiles::shared), PROT_READ | PROT_WRITE,
                MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        both = new (memory) HungFiles::shared();
        both->hangs = true;
        const int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
        if (fd < 0) {
            why = std::string("no /dev/fuse: ") + strerror(errno);
            return;
        }
        mount_it(fd);
        if (is_mounted)
            start_server(fd);
        close(fd);
    }

    HungDisk(const HungDisk &) = delete;
    HungDisk &operator=(const HungDisk &) = delete;

    ~HungDisk()
    {
        recover();
        if (is_mounted)
            umount2(directory.c_str(), MNT_DETACH);
        if (server > 0) {
            kill(server, SIGKILL);
            waitpid(server, nullptr, 0);
        }
        munmap(static_cast<void *>(both), sizeof(*both));
        rmdir(directory.c_str());
    }

    /* Writes that wait now. */
    size_t held_count() const
    {
        return both->held_count;
    }

    /* They are answered, and so are all that come. */
    void recover()
    {
        both->hangs = false;
    }

    std::string directory;
    std::string why; /* It could not be made. Empty: it is there. */

private:
    void mount_it(int fd)
    {
        const std::string options = "fd=" + std::to_string(fd) +
                                    ",rootmode=40000,user_id=" + std::to_string(getuid()) +
                                    ",group_id=" + std::to_string(getgid());
        is_mounted = mount("coil-hung-disk", directory.c_str(), "fuse", MS_NOSUID | MS_NODEV,
                             options.c_str()) == 0;
        if (!is_mounted)
            why = std::string("no fuse file system may be mounted: ") + strerror(errno);
    }

    void start_server(int fd)
    {
        const pid_t parent = getpid();
        server = fork();
        if (server != 0)
            return;
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() == parent && dup2(fd, 0) == 0 && close_range(1, ~0U, 0) == 0)
            HungFiles(0, both).serve();
        _exit(0);
    }

    HungFiles::shared *both;
    bool is_mounted = false;
    pid_t server = 0;
};

#endif
