"""The edge to t5x: the only place that imports its trainer, SeqIO and gin."""
