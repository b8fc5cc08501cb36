# Read by gpu_first.sh: what it runs on a GPU.
patience=1                        # times its limits
iterations=10000 chunk=1000       # of the long training, and how many of them a program runs
infer='small:1 base:1 base:32'    # architecture:batch
train='base:16'
size=392
check_iterations=200              # of the run that is made twice
sanitized_tests='values and gradients on CUDA*'
torch_rows=infer-base-32,train-base-16
