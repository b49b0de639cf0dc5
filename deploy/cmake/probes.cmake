# SPDX-License-Identifier: MIT
# coil_probed(<target>): its sources have static probes (core/include/coil/probe.h), if they can.
include(CheckIncludeFile)

set(COIL_HAS_PROBES OFF)
if(COIL_PROBES)
  check_include_file(sys/sdt.h COIL_HAVE_SYS_SDT_H)
  if(COIL_HAVE_SYS_SDT_H)
    set(COIL_HAS_PROBES ON)
  else()
    message(STATUS "<sys/sdt.h> not found (systemtap-sdt-dev): built without static probes")
  endif()
else()
  message(STATUS "COIL_PROBES is off: built without static probes")
endif()

function(coil_probed target)
  if(COIL_HAS_PROBES)
    target_compile_definitions(${target} PRIVATE COIL_PROBES)
  endif()
endfunction()
