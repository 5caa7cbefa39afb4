"""Words and vectors of text: tokenizers, queries by rule, TF-IDF, pretrained encoders."""
