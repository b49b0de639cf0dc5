# SPDX-License-Identifier: MIT
# coil_flags: how all code of this repository is compiled. Never exported to users of the library.
add_library(coil_flags INTERFACE)

target_compile_definitions(coil_flags INTERFACE
  _GNU_SOURCE
  COIL_SLOW_CHECKS=$<BOOL:${COIL_SLOW_CHECKS}>
  $<$<BOOL:${COIL_STRICT}>:COIL_STRICT>) # Without it, only -O0 re-enters at every await.

# Messages name files as they are called in the repository, wherever it was built, and if a compiler
# cache has made their paths relative.
file(RELATIVE_PATH COIL_SOURCE_FROM_BUILD "${CMAKE_BINARY_DIR}" "${PROJECT_SOURCE_DIR}")
target_compile_options(coil_flags INTERFACE
  -fmacro-prefix-map=${PROJECT_SOURCE_DIR}/=
  -fmacro-prefix-map=${COIL_SOURCE_FROM_BUILD}=
  -fno-common -fvisibility=hidden -fstack-protector-strong
  -fno-omit-frame-pointer -mno-omit-leaf-frame-pointer # For perf/record, and for the watchdog.
  $<$<BOOL:${COIL_WERROR}>:-Werror>

  -Wall -Wextra -Wshadow -Wconversion -Wno-sign-conversion -Wcast-qual -Wpointer-arith
  -Wwrite-strings -Wundef -Wvla -Wformat=2 -Wdouble-promotion -Wimplicit-fallthrough -Wdate-time)

# -Wpedantic stays off, the coroutine macros are statement expressions; and so does -Wswitch-default,
# because a switch over an enum of ours has no `default:`, so that -Wswitch finds the missing case.
target_compile_options(coil_flags INTERFACE $<$<COMPILE_LANGUAGE:C>:
  -Wstrict-prototypes -Wmissing-prototypes -Wold-style-definition -Wbad-function-cast
  -Werror=implicit-function-declaration -Werror=incompatible-pointer-types -Werror=int-conversion>)

target_compile_options(coil_flags INTERFACE $<$<COMPILE_LANG_AND_ID:C,GNU>:
  -Werror=jump-misses-init -Wduplicated-cond -Wduplicated-branches -Wlogical-op -Wcast-align=strict
  -Wnull-dereference -Wformat-signedness -Walloc-zero -Wstrict-aliasing=2 -Warray-bounds=2
  -Wtrampolines>)

target_compile_options(coil_flags INTERFACE $<$<COMPILE_LANG_AND_ID:C,Clang>:
  -Wconditional-uninitialized -Wcast-align -Wshorten-64-to-32 -Wcomma
  -Wmissing-variable-declarations -Wunreachable-code -Wextra-semi-stmt -Wassign-enum
  -Wthread-safety>)

# The DWARF 5 of clang 14 is beyond the valgrind of its time.
target_compile_options(coil_flags INTERFACE $<$<C_COMPILER_ID:Clang>:-fdebug-default-version=4>)

target_link_options(coil_flags INTERFACE -Wl,-z,relro,-z,now)

if(COIL_SANITIZE)
  target_compile_options(coil_flags INTERFACE -fsanitize=${COIL_SANITIZE} -fno-sanitize-recover=all
    $<$<COMPILE_LANGUAGE:CXX>:-fno-sanitize=undefined>) # Tests: it would compile half as long again.
  target_link_options(coil_flags INTERFACE -fsanitize=${COIL_SANITIZE})
elseif(NOT CMAKE_BUILD_TYPE STREQUAL Debug)
  # Some distributions predefine it, hence the -U.
  target_compile_options(coil_flags INTERFACE -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2)
endif()

# A second build of the same code is a copy.
find_program(COIL_CCACHE ccache)
if(COIL_CCACHE AND NOT CMAKE_C_COMPILER_LAUNCHER)
  set(CMAKE_C_COMPILER_LAUNCHER ${COIL_CCACHE})
  set(CMAKE_CXX_COMPILER_LAUNCHER ${COIL_CCACHE})
endif()
