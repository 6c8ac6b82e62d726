# Toolchain for building on another machine for 64-bit ARM Linux: `cmake --preset aarch64`. See docs/dependencies.md.
#
# The cross compiler is Debian's; the libraries are those that `dpkg --add-architecture arm64` brings, or those below
# -DCMAKE_SYSROOT=FOLDER. What has to run during the build and in tests is run by QEMU's user-mode emulation.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc CACHE STRING "")
set(CMAKE_LIBRARY_ARCHITECTURE aarch64-linux-gnu)

set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
if(CMAKE_SYSROOT)
    set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
    set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
endif()

find_program(TORVYN_QEMU NAMES qemu-aarch64-static qemu-aarch64)
if(TORVYN_QEMU)
    set(CMAKE_CROSSCOMPILING_EMULATOR ${TORVYN_QEMU} -L /${CMAKE_SYSROOT})
endif()
