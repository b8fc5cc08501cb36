# Read by gpu_first.sh: as much as an emulated GPU computes in minutes. PyTorch has no such GPU.
patience=8
iterations=4 chunk=2
infer='small:1'
train='small:1'
size=28
check_iterations=3
sanitized_tests='layer_norm of constant*CUDA*'
torch_rows=
