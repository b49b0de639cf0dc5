# SPDX-License-Identifier: MIT
# coil_thrift_library(<name> FILES <files...> [INCLUDE <directories...>] [SIMULATION])
#
# A static library out of files of Thrift's interface definition language: <file>_thrift.h and
# <file>_thrift.c for each <file>.thrift. What these include has to be among them, or among those of
# a library that this one links.
#
#     find_package(coil REQUIRED)
#     coil_thrift_library(shop_thrift FILES shop.thrift prices.thrift)
#     target_link_libraries(shop PRIVATE shop_thrift Coil::coil)
#
# fb303.thrift and fb303_core.thrift come with Coil: list them, and include them, by these names.
#
# INCLUDE: where else included files are searched. SIMULATION: for programs of coil_add_simulation(),
# which what is compiled for the real Coil does not fit.
if(NOT COIL_THRIFT_DIRECTORY)
  get_filename_component(COIL_THRIFT_DIRECTORY
    ${CMAKE_CURRENT_LIST_DIR}/../../docs/examples ABSOLUTE)
endif()
set_property(GLOBAL PROPERTY COIL_THRIFT_DIRECTORY ${COIL_THRIFT_DIRECTORY})

function(coil_thrift_library name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "SIMULATION" "" "FILES;INCLUDE")
  if(arg_UNPARSED_ARGUMENTS OR NOT arg_FILES)
    message(FATAL_ERROR "coil_thrift_library(${name}): FILES are missing, or one word too many.")
  endif()

  set(directory ${CMAKE_CURRENT_BINARY_DIR}/${name}.thrift)
  file(MAKE_DIRECTORY ${directory})
  set(search)
  foreach(include ${arg_INCLUDE})
    get_filename_component(include ${include} ABSOLUTE)
    list(APPEND search -I ${include})
  endforeach()
  get_property(ours GLOBAL PROPERTY COIL_THRIFT_DIRECTORY)
  list(APPEND search -I ${ours})
  set(sources)
  foreach(file ${arg_FILES})
    get_filename_component(path ${file} ABSOLUTE)
    if(NOT EXISTS ${path} AND EXISTS ${ours}/${file})
      set(path ${ours}/${file})
    endif()
    get_filename_component(stem ${file} NAME_WLE)
    set(outputs ${directory}/${stem}_thrift.c ${directory}/${stem}_thrift.h)
    add_custom_command(OUTPUT ${outputs} DEPENDS ${path} Coil::thrift
      COMMAND Coil::thrift ${search} --out ${directory} --depfile ${directory}/${stem}.d ${path}
      DEPFILE ${directory}/${stem}.d
      COMMENT "Thrift: ${stem}.thrift" VERBATIM)
    list(APPEND sources ${outputs})
  endforeach()

  add_library(${name} STATIC ${sources})
  set_target_properties(${name} PROPERTIES POSITION_INDEPENDENT_CODE ON C_STANDARD 17)
  target_include_directories(${name} PUBLIC ${directory}
    $<TARGET_PROPERTY:Coil::coil,INTERFACE_INCLUDE_DIRECTORIES>)
  if(arg_SIMULATION)
    target_link_libraries(${name} PUBLIC coil::sim)
  endif()
endfunction()
