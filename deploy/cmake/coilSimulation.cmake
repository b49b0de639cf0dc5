# SPDX-License-Identifier: MIT
# coil_add_simulation(<name> SOURCES <files...> [LIBRARIES <targets...>] [SEEDS <count>]
#                     [PROFILE kind|flaky|hostile|swarm] [OPTIONS <options...>] [TIMEOUT <seconds>]
#                     [LABELS <labels...>])
#
# A program whose main() is that of a simulation (coil/sim_scenario.h), and a test that runs it with
# seeds from 1 to <count>, 1000 if nothing is said, under a profile, `swarm`.
#
#     find_package(coil REQUIRED)
#     enable_testing()
#     coil_add_simulation(counter_simulation SOURCES simulation.c counter.c SEEDS 5000)
#
# It is linked with coil::sim in place of Coil::coil. Whatever uses Coil is compiled once more for
# it, and is among the sources: a library that was compiled for the real Coil does not fit. The
# options are those of the program.
function(coil_add_simulation name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "SEEDS;PROFILE;TIMEOUT"
    "SOURCES;LIBRARIES;OPTIONS;LABELS")
  if(NOT TARGET coil::sim)
    message(FATAL_ERROR "coil_add_simulation(${name}): this Coil was installed without coil::sim.")
  endif()
  if(arg_UNPARSED_ARGUMENTS OR NOT arg_SOURCES)
    message(FATAL_ERROR "coil_add_simulation(${name}): SOURCES are missing, or one word too many.")
  endif()
  if(NOT arg_SEEDS)
    set(arg_SEEDS 1000)
  endif()
  if(NOT arg_PROFILE)
    set(arg_PROFILE swarm)
  endif()
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT 600)
  endif()

  add_executable(${name} ${arg_SOURCES})
  target_link_libraries(${name} PRIVATE coil::sim ${arg_LIBRARIES})
  add_test(NAME ${name} COMMAND ${name}
    --seeds=${arg_SEEDS} --profile=${arg_PROFILE} --jobs=2 ${arg_OPTIONS})
  set_tests_properties(${name} PROPERTIES TIMEOUT ${arg_TIMEOUT} PROCESSORS 2)
  if(arg_LABELS)
    set_tests_properties(${name} PROPERTIES LABELS "${arg_LABELS}")
  endif()
endfunction()
