# Third-party libraries, each linked statically:
#   tv_native  the WebAssembly engine's C API (built from native/ by scripts/native.sh, kept in a cache)
#   tv_yyjson  JSON, compiled from the source that the same lock file pins
#   tv_uv, tv_yaml, tv_md, tv_xxhash, tv_ncurses  static archives of Debian's -dev packages
#   tv_cmocka  test library
# TORVYN_YYJSON_DIR is the folder of yyjson.c and yyjson.h, for components that are compiled with it.

function(tv_find_archive target archive header package)
    find_library(TORVYN_LIB_${target} NAMES ${archive})
    find_path(TORVYN_INCLUDE_${target} NAMES ${header})
    if(NOT TORVYN_LIB_${target} OR NOT TORVYN_INCLUDE_${target})
        message(FATAL_ERROR "${archive} with ${header} not found: install the package ${package} "
                            "(or let `make` do it: scripts/bootstrap.sh)")
    endif()
    add_library(${target} STATIC IMPORTED GLOBAL)
    set_target_properties(${target} PROPERTIES IMPORTED_LOCATION ${TORVYN_LIB_${target}}
                                               INTERFACE_INCLUDE_DIRECTORIES ${TORVYN_INCLUDE_${target}})
endfunction()

find_package(Threads REQUIRED)
tv_find_archive(tv_uv libuv_a.a uv.h libuv1-dev)
set_property(TARGET tv_uv PROPERTY INTERFACE_LINK_LIBRARIES Threads::Threads dl rt)
tv_find_archive(tv_yaml libyaml.a yaml.h libyaml-dev)
set_property(TARGET tv_yaml PROPERTY INTERFACE_COMPILE_DEFINITIONS YAML_DECLARE_STATIC)
tv_find_archive(tv_md libmd.a sha2.h libmd-dev)
tv_find_archive(tv_xxhash libxxhash.a xxhash.h libxxhash-dev)
tv_find_archive(tv_tinfo libtinfo.a term.h libncurses-dev)
tv_find_archive(tv_ncurses libncursesw.a ncurses.h libncurses-dev)
set_property(TARGET tv_ncurses PROPERTY INTERFACE_LINK_LIBRARIES tv_tinfo dl)

# The folder that scripts/native.sh fills; it builds the engine if the cache does not have it.
set(TORVYN_NATIVE_DIR "" CACHE PATH "Folder with libtorvyn_native.a, include/ and yyjson/; empty: scripts/native.sh")
set(TORVYN_ENGINE quick CACHE STRING "How much the engine is optimised: quick (to build), or release (small, for packages)")
set(native_dir ${TORVYN_NATIVE_DIR})
set(native_command ${CMAKE_SOURCE_DIR}/scripts/native.sh ${TORVYN_ENGINE})
if(CMAKE_CROSSCOMPILING) # the engine has a little C of its own
    set(native_flags "")
    if(CMAKE_SYSROOT)
        set(native_flags --sysroot=${CMAKE_SYSROOT})
    endif()
    set(native_command ${CMAKE_COMMAND} -E env TARGET_CC=${CMAKE_C_COMPILER} TARGET_CFLAGS=${native_flags}
                       ${native_command} ${CMAKE_SYSTEM_PROCESSOR}-unknown-linux-gnu)
endif()
if(NOT native_dir)
    execute_process(COMMAND ${native_command} OUTPUT_VARIABLE native_dir RESULT_VARIABLE failed
                    OUTPUT_STRIP_TRAILING_WHITESPACE)
    if(failed)
        message(FATAL_ERROR "scripts/native.sh could not provide the engine (see above)")
    endif()
endif()
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS native/Cargo.lock native/Cargo.toml native/build.rs
                                       native/src/lib.rs scripts/native.sh)
add_library(tv_native STATIC IMPORTED GLOBAL)
set_target_properties(tv_native PROPERTIES IMPORTED_LOCATION ${native_dir}/libtorvyn_native.a
                                           INTERFACE_INCLUDE_DIRECTORIES ${native_dir}/include
                                           INTERFACE_LINK_LIBRARIES "Threads::Threads;m;dl")

set(TORVYN_YYJSON_DIR ${native_dir}/yyjson)
add_library(tv_yyjson STATIC ${TORVYN_YYJSON_DIR}/yyjson.c)
target_include_directories(tv_yyjson SYSTEM PUBLIC ${TORVYN_YYJSON_DIR})
target_compile_options(tv_yyjson PRIVATE -w)
if(TORVYN_SANITIZE)
    target_compile_options(tv_yyjson PRIVATE -fno-sanitize=undefined) # minutes to compile, and not our code
endif()

if(BUILD_TESTING)
    find_library(TORVYN_CMOCKA cmocka)
    if(NOT TORVYN_CMOCKA)
        message(FATAL_ERROR "cmocka not found: install the package libcmocka-dev, or configure with -DBUILD_TESTING=OFF")
    endif()
    add_library(tv_cmocka INTERFACE)
    target_link_libraries(tv_cmocka INTERFACE ${TORVYN_CMOCKA})
endif()
