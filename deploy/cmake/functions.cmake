# SPDX-License-Identifier: MIT
# The words in which the CMakeLists.txt of the modules and programs are written.

# coil_module(<name> USES <modules...> SOURCES <.c...>)
#
# A module sees its own files and the public headers of the modules that it uses. Nothing else is on
# its include path, so that an include which breaks the layering does not compile. Without sources it
# is its headers only.
function(coil_module name)
  cmake_parse_arguments(arg "" "" "SOURCES;USES" ${ARGN})
  list(TRANSFORM arg_USES PREPEND coil_)
  if(arg_SOURCES)
    add_library(coil_${name} STATIC ${arg_SOURCES})
    # Compiled once, for libcoil.a and libcoil.so alike.
    set_target_properties(coil_${name} PROPERTIES POSITION_INDEPENDENT_CODE ON)
    target_include_directories(coil_${name} PUBLIC include)
    target_link_libraries(coil_${name} PUBLIC ${arg_USES} PRIVATE coil_flags)
  else()
    add_library(coil_${name} INTERFACE)
    target_include_directories(coil_${name} INTERFACE include)
    target_link_libraries(coil_${name} INTERFACE ${arg_USES})
  endif()
  install(DIRECTORY include/ DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} OPTIONAL)
endfunction()

# coil_program(<name> SOURCES <.c...> [INSTALL])
#
# A program sees what a user sees: the public headers, <coil/coil.h>, and libcoil.
function(coil_program name)
  cmake_parse_arguments(arg "INSTALL" "" "SOURCES" ${ARGN})
  add_executable(${name} ${arg_SOURCES})
  target_link_libraries(${name} PRIVATE coil_static coil_allocator coil_flags)
  if(arg_INSTALL)
    install(TARGETS ${name} DESTINATION ${CMAKE_INSTALL_BINDIR})
  endif()
endfunction()

# coil_simulated(<target> SOURCES <.c...>)
#
# The library once more, for programs on a simulated kernel (coil/sim.h): the sources of all modules
# without the real kernel, and those given. A program links it in place of libcoil.
#
# What processes allocate is accounted for, fibers wait for mutexes without blocking the thread, and a
# process that ends does not end the simulation:
set(COIL_WRAPPED malloc calloc realloc aligned_alloc free pthread_mutex_lock pthread_mutex_unlock
  exit _exit _Exit quick_exit abort __assert_fail coil_check_failed)
list(TRANSFORM COIL_WRAPPED PREPEND -Wl,--wrap=)
function(coil_simulated target)
  cmake_parse_arguments(arg "" "" "SOURCES" ${ARGN})
  foreach(module ${COIL_MODULES})
    get_target_property(kind coil_${module} TYPE)
    if(NOT kind STREQUAL INTERFACE_LIBRARY)
      get_target_property(sources coil_${module} SOURCES)
      list(TRANSFORM sources PREPEND ${PROJECT_SOURCE_DIR}/${module}/)
      list(APPEND arg_SOURCES ${sources})
    endif()
    list(APPEND headers $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/${module}/include>)
  endforeach()
  list(FILTER arg_SOURCES EXCLUDE REGEX "/proactor/kernel(_[a-z]+)?\\.c$")

  add_library(${target} STATIC EXCLUDE_FROM_ALL ${arg_SOURCES})
  set_target_properties(${target} PROPERTIES POSITION_INDEPENDENT_CODE ON)
  target_include_directories(${target} PUBLIC $<BUILD_INTERFACE:${CMAKE_CURRENT_SOURCE_DIR}/include>
    ${headers} $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/deploy/include>
    $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
  target_compile_definitions(${target} PUBLIC COIL_SIMULATION=1)
  target_link_libraries(${target}
    PRIVATE $<BUILD_INTERFACE:coil_flags> $<BUILD_INTERFACE:coil_uring> INTERFACE uring
    ${COIL_CARES_LIBRARY} ${COIL_TRANSPORT_LIBRARIES})
  target_link_options(${target} INTERFACE ${COIL_WRAPPED})
endfunction()
