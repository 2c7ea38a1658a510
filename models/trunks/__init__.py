"""Networks cut before their pooling: pictures in, feature maps out."""
