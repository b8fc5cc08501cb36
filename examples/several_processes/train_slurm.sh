#!/bin/bash
# Eight machines of 32 processors. A job that has lost a machine begins again and goes on where its last checkpoint was.
#SBATCH --nodes=8 --ntasks-per-node=1 --cpus-per-task=32 --requeue
srun --mpi=pmix dinomaly train /shared/mvtec --batch 64 --checkpoint-every 500 --resume --out /shared/out
