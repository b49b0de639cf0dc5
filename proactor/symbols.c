/* SPDX-License-Identifier: MIT */
#include "symbols.h"

#include <coil/base.h>
#include <coil/kernel.h>

#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

/* The part of a path that people look at. */
static const char *last_parts(const char *path, int part_count)
{
    const char *start = path + strlen(path);
    while (start > path && (start[-1] != '/' || --part_count > 0))
        start--;
    return start;
}

/* --------------------------------------------------------------------------- symbol tables -- */

typedef struct module {
    uintptr_t address; /* Searched for. */
    uintptr_t base;
    char path[SYMBOL_BYTES]; /* "": none has it. */
} module;

static int match_module(struct dl_phdr_info *loaded, size_t size_bytes, void *argument)
{
    module *wanted = argument;
    (void)size_bytes;
    for (int i = 0; i < loaded->dlpi_phnum; i++) {
        const ElfW(Phdr) *segment = &loaded->dlpi_phdr[i];
        const uintptr_t offset = wanted->address - loaded->dlpi_addr - segment->p_vaddr;
        if (segment->p_type != PT_LOAD || offset >= segment->p_memsz)
            continue;
        wanted->base = loaded->dlpi_addr;
        (void)snprintf(wanted->path, sizeof(wanted->path), "%s",
                loaded->dlpi_name[0] != '\0' ? loaded->dlpi_name : "/proc/self/exe");
        return 1;
    }
    return 0;
}

static bool read_at(int fd, uint64_t offset, void *bytes, size_t size_bytes)
{
    return coil_kernel_pread(fd, bytes, size_bytes, (off_t)offset) == (ssize_t)size_bytes;
}

static bool find_section(int fd, const ElfW(Ehdr) * header, unsigned type, ElfW(Shdr) * out_section)
{
    for (unsigned i = 0; i < header->e_shnum; i++) {
        if (!read_at(fd, header->e_shoff + i * sizeof(*out_section), out_section,
                    sizeof(*out_section)))
            return false;
        if (out_section->sh_type == type)
            return true;
    }
    return false;
}

/* The function that covers `address`, among the symbols of one table. */
static bool search_table(int fd, const ElfW(Shdr) * table, uintptr_t address, ElfW(Sym) * out_found)
{
    ElfW(Sym) some[128];
    const size_t count = table->sh_size / sizeof(some[0]);
    for (size_t first = 0; first < count; first += 128) {
        const size_t now = count - first < 128 ? count - first : 128;
        if (!read_at(fd, table->sh_offset + first * sizeof(some[0]), some, now * sizeof(some[0])))
            return false;
        for (size_t i = 0; i < now; i++) {
            const bool is_code = (some[i].st_info & 0xf) == STT_FUNC;
            if (!is_code || some[i].st_shndx == SHN_UNDEF ||
                    address - some[i].st_value >= some[i].st_size)
                continue;
            *out_found = some[i];
            return true;
        }
    }
    return false;
}

static bool search_file(int fd, unsigned table_type, uintptr_t address, symbol *found)
{
    ElfW(Ehdr) header;
    ElfW(Shdr) table;
    ElfW(Shdr) names;
    ElfW(Sym) entry;

    if (!read_at(fd, 0, &header, sizeof(header)) || memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 ||
            header.e_shentsize != sizeof(table) || !find_section(fd, &header, table_type, &table) ||
            !read_at(fd, header.e_shoff + table.sh_link * sizeof(names), &names, sizeof(names)) ||
            !search_table(fd, &table, address, &entry))
        return false;
    ssize_t size_bytes = coil_kernel_pread(
            fd, found->name, sizeof(found->name) - 1, (off_t)(names.sh_offset + entry.st_name));
    found->name[size_bytes < 0 ? 0 : size_bytes] = '\0';
    found->offset = address - entry.st_value;
    return found->name[0] != '\0';
}

static void find_by_table(uintptr_t address, symbol *found)
{
    module in = {.address = address};
    if (dl_iterate_phdr(match_module, &in) == 0)
        return;
    found->offset = address - in.base;
    int fd = coil_kernel_openat(AT_FDCWD, in.path, O_RDONLY);
    if (strcmp(in.path, "/proc/self/exe") != 0) {
        (void)snprintf(found->module, sizeof(found->module), "%s", last_parts(in.path, 1));
    } else {
        (void)snprintf(found->module, sizeof(found->module), "program");
    }
    if (fd < 0)
        return; /* Such as the vdso, which is no file. */
    if (!search_file(fd, SHT_SYMTAB, address - in.base, found))
        (void)search_file(fd, SHT_DYNSYM, address - in.base, found);
    (void)coil_kernel_close(fd);
}

/* ----------------------------------------------------------------------------------- lines -- */

/*
 * What we need of <elfutils/libdwfl.h>, an interface that has been stable since 2005: so that
 * neither building Coil nor running it takes libdw.
 */
typedef struct Dwfl Dwfl;
typedef struct Dwfl_Module Dwfl_Module;
typedef struct Dwfl_Line Dwfl_Line;
typedef void any_function(void);
typedef struct dwfl_callbacks {
    any_function *find_elf;
    any_function *find_debuginfo;
    any_function *section_address;
    char **debuginfo_path;
} dwfl_callbacks;

static struct libdw {
    Dwfl *(*begin)(const dwfl_callbacks *callbacks);
    void (*end)(Dwfl *dwfl);
    int (*linux_proc_report)(Dwfl *dwfl, pid_t pid);
    int (*report_end)(Dwfl *dwfl, any_function *removed, void *argument);
    Dwfl_Module *(*addrmodule)(Dwfl *dwfl, uint64_t address);
    Dwfl_Line *(*module_getsrc)(Dwfl_Module *module, uint64_t address);
    const char *(*lineinfo)(Dwfl_Line *line, uint64_t *out_address, int *out_line, int *out_column,
            uint64_t *out_changed, uint64_t *out_size_bytes);
    dwfl_callbacks callbacks;
} dw;

static const struct {
    const char *name;
    size_t at;
} dw_functions[] = {
        {"dwfl_begin", offsetof(struct libdw, begin)},
        {"dwfl_end", offsetof(struct libdw, end)},
        {"dwfl_linux_proc_report", offsetof(struct libdw, linux_proc_report)},
        {"dwfl_report_end", offsetof(struct libdw, report_end)},
        {"dwfl_addrmodule", offsetof(struct libdw, addrmodule)},
        {"dwfl_module_getsrc", offsetof(struct libdw, module_getsrc)},
        {"dwfl_lineinfo", offsetof(struct libdw, lineinfo)},
        {"dwfl_linux_proc_find_elf", offsetof(struct libdw, callbacks.find_elf)},
        /* Not the standard one: that asks servers on the network. */
        {"dwfl_build_id_find_debuginfo", offsetof(struct libdw, callbacks.find_debuginfo)},
};

static Dwfl *lines;

static bool load_libdw(void)
{
    static bool tried;
    static bool loaded;
    if (tried)
        return loaded;
    tried = true;
    void *library = coil_kernel_library("libdw.so.1");
    if (library == NULL)
        return false;
    for (size_t i = 0; i < sizeof(dw_functions) / sizeof(dw_functions[0]); i++) {
        void *function = coil_kernel_library_symbol(library, dw_functions[i].name);
        if (function == NULL)
            return false;
        memcpy((char *)&dw + dw_functions[i].at, &function, sizeof(function));
    }
    return loaded = true;
}

static COIL_PROCESS_WIDE pthread_mutex_t asking = PTHREAD_MUTEX_INITIALIZER;

void symbols_begin(bool with_lines)
{
    (void)pthread_mutex_lock(&asking);
    if (!with_lines || !load_libdw())
        return;
    lines = dw.begin(&dw.callbacks);
    if (lines == NULL)
        return;
    (void)dw.linux_proc_report(lines, coil_kernel_getpid());
    (void)dw.report_end(lines, NULL, NULL);
}

void symbols_end(void)
{
    if (lines != NULL)
        dw.end(lines);
    lines = NULL;
    (void)pthread_mutex_unlock(&asking);
}

/* (For code without lines, libdw may name the last line of what lies before it.) */
static void find_line(uintptr_t address, symbol *found)
{
    uint64_t begins = 0;
    Dwfl_Module *in = dw.addrmodule(lines, address);
    Dwfl_Line *line = in == NULL ? NULL : dw.module_getsrc(in, address);
    if (line == NULL)
        return;
    int number = 0;
    const char *file = dw.lineinfo(line, &begins, &number, NULL, NULL, NULL);
    if (file == NULL || begins < address - found->offset)
        return;
    found->line = number;
    (void)snprintf(found->file, sizeof(found->file), "%s", last_parts(file, 2));
}

void symbols_find(uintptr_t address, symbol *out_symbol)
{
    *out_symbol = (symbol){.offset = address};
    find_by_table(address, out_symbol);
    if (lines != NULL)
        find_line(address, out_symbol);
}
