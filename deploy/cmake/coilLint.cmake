# SPDX-License-Identifier: MIT
# coil_lint(<target> [FLAGS <compiler flags...>])
#
# Have the coroutines in the C files of the target linted whenever they are built: a local that does
# not survive an await, the address of one that goes into a coroutine, an adapted call that nobody
# awaits. A finding fails the build. What it finds and how is said in share/coil/coil_lint.py.
#
#     find_package(coil REQUIRED)
#     add_executable(service service.c session.c)
#     target_link_libraries(service PRIVATE Coil::coil)
#     coil_lint(service)
#
# To be called when the target has its sources; in any directory. <target>_lint is a target of its
# own, part of `all`. The files are read by clang, whatever compiler builds them, with the target's
# include directories, definitions and C standard; other flags that they need are to be named.
# Without clang or python3 there is a warning, and nothing is linted.
function(coil_lint target)
  cmake_parse_arguments(arg "" "" "FLAGS" ${ARGN})
  find_program(COIL_LINT_CLANG clang)
  find_package(Python3 COMPONENTS Interpreter QUIET)
  if(NOT COIL_LINT_CLANG OR NOT Python3_FOUND)
    message(WARNING "coil_lint needs clang and python3: ${target} is not linted.")
    return()
  endif()

  get_target_property(sources ${target} SOURCES)
  get_target_property(directory ${target} SOURCE_DIR)
  list(FILTER sources INCLUDE REGEX "\\.c$")
  list(FILTER sources EXCLUDE REGEX "^\\$<")
  set(includes "$<REMOVE_DUPLICATES:$<TARGET_PROPERTY:${target},INCLUDE_DIRECTORIES>>")
  set(definitions "$<TARGET_PROPERTY:${target},COMPILE_DEFINITIONS>")
  set(standard "$<TARGET_PROPERTY:${target},C_STANDARD>")
  set(stamps)
  foreach(source ${sources})
    get_filename_component(path ${source} ABSOLUTE BASE_DIR ${directory})
    file(RELATIVE_PATH name ${directory} ${path})
    string(REGEX REPLACE "[^A-Za-z0-9._-]" "_" name ${name})
    set(stamp ${CMAKE_CURRENT_BINARY_DIR}/${target}_lint.dir/${name}.stamp)
    file(MAKE_DIRECTORY ${CMAKE_CURRENT_BINARY_DIR}/${target}_lint.dir)
    add_custom_command(OUTPUT ${stamp} DEPFILE ${stamp}.d
      DEPENDS ${path} ${COIL_LINT_SCRIPT}
      COMMAND ${Python3_EXECUTABLE} ${COIL_LINT_SCRIPT} ${path}
        "-std=gnu$<IF:$<BOOL:${standard}>,${standard},17>"
        "$<$<BOOL:${includes}>:-I$<JOIN:${includes},;-I>>"
        "$<$<BOOL:${definitions}>:-D$<JOIN:${definitions},;-D>>"
        ${arg_FLAGS} -MD -MF ${stamp}.d -MT ${stamp}
      COMMAND ${CMAKE_COMMAND} -E touch ${stamp}
      COMMENT "Linting coroutines in ${source}"
      COMMAND_EXPAND_LISTS VERBATIM)
    list(APPEND stamps ${stamp})
  endforeach()
  add_custom_target(${target}_lint ALL DEPENDS ${stamps})
endfunction()
