# The kernels as a library without Python, for the core and for the stand-alone test: one object for
# each kernel and instruction set.
if(NOT CMAKE_CXX_COMPILER_ID MATCHES "GNU|Clang" OR MSVC)
  message(FATAL_ERROR "the kernels need the vector extensions of GCC and Clang, "
    "this compiler is ${CMAKE_CXX_COMPILER_ID}")
endif()

set(CMAKE_CXX_STANDARD 17)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
find_package(Threads REQUIRED)

# For the stand-alone test and for the core, which Python loads with LD_PRELOAD=$(g++
# -print-file-name=libasan.so). Debug information alone: -DCMAKE_BUILD_TYPE=RelWithDebInfo.
set(LB_SANITIZE "" CACHE STRING "Sanitizers: address,undefined or thread")
if(LB_SANITIZE)
  add_compile_options(-g1 -fno-omit-frame-pointer -fno-sanitize-recover=all
    -fsanitize=${LB_SANITIZE})
  add_link_options(-fsanitize=${LB_SANITIZE})
endif()

set(LB ${CMAKE_CURRENT_LIST_DIR})
# The kernels of the list in kernels.h, the slowest to compile first.
set(LB_KERNELS
  ../cells/lstm_kernel.h
  ../cells/lstm_variants_kernel.h
  ../cells/relational_kernel.h
  ../cells/gru_kernel.h
  ../cells/affine_kernel.h
  ../cells/input_gradient_kernel.h
  ../../training/losses_kernel.h
  ../../training/optimizers_kernel.h)

add_library(lstm_baseline_kernels STATIC ${LB}/dispatch.cpp ${LB}/memory.cpp ${LB}/team.cpp)

# Add an instruction set: its name, the bytes of its vectors, its compiler options. The options
# apply only to its own objects.
function(lb_add_instruction_set set vector_bytes)
  foreach(kernel IN LISTS LB_KERNELS)
    get_filename_component(name ${kernel} NAME)
    string(REPLACE "_kernel.h" "" name ${name})
    add_library(lb_${name}_${set} OBJECT ${LB}/kernel.cpp)
    target_compile_definitions(lb_${name}_${set} PRIVATE
      LB_TARGET=${set} LB_VECTOR_BYTES=${vector_bytes} LB_KERNEL="${kernel}" LB_NAME=${name})
    target_compile_options(lb_${name}_${set} PRIVATE ${ARGN})
    list(APPEND objects lb_${name}_${set})
  endforeach()
  add_library(lb_sum_chain_${set} OBJECT ${LB}/sum_chain.cpp)
  target_compile_definitions(lb_sum_chain_${set} PRIVATE
    LB_TARGET=${set} LB_VECTOR_BYTES=${vector_bytes})
  target_compile_options(lb_sum_chain_${set} PRIVATE ${ARGN})
  add_library(lb_tables_${set} OBJECT ${LB}/instruction_set.cpp)
  target_compile_definitions(lb_tables_${set} PRIVATE
    LB_TARGET=${set} LB_VECTOR_BYTES=${vector_bytes})
  list(APPEND objects lb_sum_chain_${set} lb_tables_${set})
  foreach(object IN LISTS objects)
    target_sources(lstm_baseline_kernels PRIVATE $<TARGET_OBJECTS:${object}>)
  endforeach()
  set(LB_OBJECTS ${LB_OBJECTS} ${objects} PARENT_SCOPE)
endfunction()

# A test may leave out what its machine does not run. Without sse2 a core might find none.
if(NOT DEFINED LB_INSTRUCTION_SETS)
  set(LB_INSTRUCTION_SETS avx512 avx2 sse2)
endif()

if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64)$" AND CMAKE_SIZEOF_VOID_P EQUAL 8)
  set(avx512 64 -mavx512f -mavx512dq -mavx512bw -mavx512vl -mavx2 -mfma)
  set(avx2 32 -mavx2 -mfma)
  set(sse2 16)
  foreach(set IN LISTS LB_INSTRUCTION_SETS)
    lb_add_instruction_set(${set} ${${set}})
    target_compile_definitions(lstm_baseline_kernels PRIVATE LB_HAS_${set})
  endforeach()
elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "^(aarch64|arm64)$" AND CMAKE_SIZEOF_VOID_P EQUAL 8)
  lb_add_instruction_set(neon 16)
else()
  message(FATAL_ERROR "there are no kernels for ${CMAKE_SYSTEM_PROCESSOR}")
endif()

foreach(target IN LISTS LB_OBJECTS ITEMS lstm_baseline_kernels)
  set_target_properties(${target} PROPERTIES
    POSITION_INDEPENDENT_CODE ON CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON)
  # A product and a sum may be joined only where the source says so: see vec.h.
  # math-errno: a square root is one instruction, not a call that may set errno.
  target_compile_options(${target} PRIVATE -ffp-contract=off -fno-math-errno)
endforeach()
target_link_libraries(lstm_baseline_kernels PUBLIC Threads::Threads)
