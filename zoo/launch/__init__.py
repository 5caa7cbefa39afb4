"""The edge to t5x: its trainer, SeqIO and gin meet our encoder-decoder, trie and beam search here and nowhere else."""
