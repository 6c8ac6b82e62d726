# Language level, warnings, optimisation, sanitizers and hardening, for the whole tree.
option(TORVYN_WERROR "Treat warnings as errors" OFF)
set(TORVYN_SANITIZE "" CACHE STRING "Sanitizers, as for -fsanitize= (address,undefined or thread); empty for none")

set(CMAKE_C_STANDARD 17)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS OFF)
set(CMAKE_C_VISIBILITY_PRESET hidden)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

if(NOT CMAKE_SYSTEM_NAME STREQUAL "Linux" OR NOT CMAKE_SIZEOF_VOID_P EQUAL 8)
    message(FATAL_ERROR "Torvyn builds for 64-bit Linux only (this is ${CMAKE_SYSTEM_NAME}, "
                        "${CMAKE_SIZEOF_VOID_P}-byte pointers).")
endif()
if(NOT CMAKE_BUILD_TYPE)
    set(CMAKE_BUILD_TYPE Release CACHE STRING "" FORCE)
endif()
# Assertions (TV_ASSERT) stay on in every build type. FORTIFY_SOURCE needs optimisation and disturbs sanitizers.
set(CMAKE_C_FLAGS_DEBUG "-O1 -g")
set(CMAKE_C_FLAGS_RELEASE "-O2 -g1 -D_FORTIFY_SOURCE=2")

# Empty rather than 1, so that a file which says `#define _GNU_SOURCE` itself does not redefine it.
add_compile_options(-D_GNU_SOURCE=)
add_compile_definitions(TV_VERSION="${PROJECT_VERSION}")
add_compile_options(-Wall -Wextra -Wconversion -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wundef
                    -Wformat=2 -Wno-format-nonliteral)
if(CMAKE_C_COMPILER_ID STREQUAL "GNU")
    add_compile_options(-Wno-format-truncation) # snprintf into fixed buffers cuts on purpose
else()
    add_compile_options(-Wno-string-conversion) # TV_ASSERT(!"why this cannot be")
endif()
if(TORVYN_SANITIZE AND CMAKE_C_COMPILER_ID STREQUAL "GNU")
    add_compile_options(-Wno-maybe-uninitialized) # instrumented code misleads it
endif()
if(TORVYN_WERROR)
    add_compile_options(-Werror)
endif()

add_compile_options(-ffunction-sections -fdata-sections -fno-common)
add_link_options(-Wl,--gc-sections)
if(TORVYN_SANITIZE)
    add_compile_options(-fsanitize=${TORVYN_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
    add_link_options(-fsanitize=${TORVYN_SANITIZE})
else()
    # Nothing is exported, and nothing but glibc's own libraries is needed to run.
    add_compile_options(-fstack-protector-strong)
    add_link_options(-static-libgcc -Wl,--exclude-libs,ALL -Wl,-z,relro,-z,now -Wl,--as-needed)
endif()
include_directories(${CMAKE_SOURCE_DIR}/src ${CMAKE_SOURCE_DIR}/sdk/c/include)
