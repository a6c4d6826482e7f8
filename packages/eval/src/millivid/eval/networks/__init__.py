"""Pretrained networks: what reads their files, and what each one computes. Importing this loads none of them."""
