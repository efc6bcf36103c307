"""How checkpoints are loaded by transformers: from local files, as safetensors, without code of their own."""

LOCAL: dict[str, bool] = {"local_files_only": True, "trust_remote_code": False}
SAFE: dict[str, bool] = {**LOCAL, "use_safetensors": True}
