# tv_add_test(NAME [libraries...] [SOURCES more.c...] [ARGS...] [ENVIRONMENT A=b...]
#             [LABELS label...])
#
# A cmocka executable from NAME.c (and SOURCES), registered with ctest under NAME. Where two modules use the same
# name, the later one's target and test are called <module>_NAME.
#
# The time limit ends a test that hangs in spite of its own limits (30 s for whatever it waits for). No test comes near
# it, on however busy a machine.
set(TV_TEST_TIMEOUT 600)

# The engine catches the signals by which JITted code reports traps, and its own code is not instrumented.
set(TV_TEST_ENVIRONMENT
    "ASAN_OPTIONS=detect_leaks=1:allow_user_segv_handler=1:handle_sigill=0:handle_sigfpe=0:abort_on_error=0"
    "UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1"
    "TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1:report_signal_unsafe=0")

function(tv_add_test name)
    if(NOT BUILD_TESTING)
        return()
    endif()
    cmake_parse_arguments(PARSE_ARGV 1 test "" "" "SOURCES;ARGS;ENVIRONMENT;LABELS")
    set(target ${name})
    if(TARGET ${target})
        get_filename_component(module ${CMAKE_CURRENT_SOURCE_DIR} NAME)
        set(target ${module}_${name})
    endif()
    add_executable(${target} ${name}.c ${test_SOURCES})
    target_link_libraries(${target} PRIVATE ${test_UNPARSED_ARGUMENTS} tv_cmocka)
    add_test(NAME ${target} COMMAND ${target} ${test_ARGS})
    tv_configure_test(${target} "${test_ENVIRONMENT}" "${test_LABELS}")
endfunction()

# tv_add_fuzz(NAME [libraries...] [FOLDER folder] [SOURCES more.c...] [CORPUS folder])
#
# A libFuzzer executable from NAME.c in the folder (and SOURCES), in the folder fuzz of the build, with its corpus beside it as
# NAME.corpus. Only in the preset `fuzz`; scripts/fuzz.sh runs them. Ordinary tests replay the corpora.
function(tv_add_fuzz name)
    if(NOT TORVYN_FUZZ)
        return()
    endif()
    cmake_parse_arguments(PARSE_ARGV 1 fuzz "" "CORPUS;FOLDER" "SOURCES")
    set(folder ${CMAKE_CURRENT_SOURCE_DIR}/${fuzz_FOLDER})
    add_executable(${name} ${folder}/${name}.c ${fuzz_SOURCES})
    target_link_libraries(${name} PRIVATE ${fuzz_UNPARSED_ARGUMENTS})
    target_link_options(${name} PRIVATE -fsanitize=fuzzer)
    set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/fuzz)
    file(REMOVE_RECURSE ${CMAKE_BINARY_DIR}/fuzz/${name}.corpus)
    file(MAKE_DIRECTORY ${CMAKE_BINARY_DIR}/fuzz/${name}.corpus)
    if(fuzz_CORPUS)
        file(GLOB files ${folder}/${fuzz_CORPUS}/*)
        file(COPY ${files} DESTINATION ${CMAKE_BINARY_DIR}/fuzz/${name}.corpus)
    endif()
    add_dependencies(tv_fuzzers ${name})
endfunction()
option(TORVYN_FUZZ "Build the fuzz targets (clang)" OFF)
if(TORVYN_FUZZ)
    add_custom_target(tv_fuzzers)
endif()

# Environment and labels of a test that add_test made.
function(tv_configure_test name environment labels)
    if(NOT labels)
        set(labels unit)
    endif()
    set_tests_properties(${name} PROPERTIES TIMEOUT ${TV_TEST_TIMEOUT} LABELS "${labels}"
                                            ENVIRONMENT "${TV_TEST_ENVIRONMENT};${environment}")
endfunction()
