# The kernels as a library without Python, for the core and for the stand-alone test.
if(NOT CMAKE_CXX_COMPILER_ID MATCHES "GNU|Clang" OR MSVC)
  message(FATAL_ERROR "the kernels need the vector extensions of GCC and Clang, "
    "this compiler is ${CMAKE_CXX_COMPILER_ID}")
endif()

set(CMAKE_CXX_STANDARD 17)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
find_package(Threads REQUIRED)

set(LB ${CMAKE_CURRENT_LIST_DIR})
# Each instruction set's file, and no other, gets its options. The slowest to compile comes first.
if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64)$" AND CMAKE_SIZEOF_VOID_P EQUAL 8)
  set(LB_TARGETS ${LB}/target_avx512.cpp ${LB}/target_avx2.cpp ${LB}/target_sse2.cpp)
  set_source_files_properties(${LB}/target_avx512.cpp PROPERTIES COMPILE_OPTIONS
    "-mavx512f;-mavx512dq;-mavx512bw;-mavx512vl;-mavx2;-mfma")
  set_source_files_properties(${LB}/target_avx2.cpp PROPERTIES COMPILE_OPTIONS "-mavx2;-mfma")
elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "^(aarch64|arm64)$" AND CMAKE_SIZEOF_VOID_P EQUAL 8)
  set(LB_TARGETS ${LB}/target_neon.cpp)
else()
  message(FATAL_ERROR "there are no kernels for ${CMAKE_SYSTEM_PROCESSOR}")
endif()

add_library(lstm_baseline_kernels STATIC
  ${LB_TARGETS} ${LB}/dispatch.cpp ${LB}/memory.cpp ${LB}/team.cpp)
set_target_properties(lstm_baseline_kernels PROPERTIES
  POSITION_INDEPENDENT_CODE ON CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON)
# A product and a sum may be joined only where the source says so: see vec.h.
# math-errno: a square root is one instruction, not a call that may set errno.
target_compile_options(lstm_baseline_kernels PRIVATE -ffp-contract=off -fno-math-errno)
target_link_libraries(lstm_baseline_kernels PUBLIC Threads::Threads)
