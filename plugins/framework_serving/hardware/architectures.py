"""What each known model architecture does with the numbers in its `config.json`.

A name that is not here is refused: an architecture whose layers we do not know must not be computed as if it were
another one. Sources: the configuration and modelling files that each publisher ships with the weights.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Architecture:
    """How one architecture is built.

    Attributes:
        family: name used where the configuration has no better one.
        gated: three MLP matrices (gate, up, down) instead of two.
        tied: whether embeddings are tied where the configuration does not say.
        biases: every linear layer has a bias vector (True), or only query, key and value (`qkv`), or none.
        learned_positions: rows that the table of positions has beyond the context; -1 where there is no such table.
        block: how experts are described: `mixtral`, `qwen`, `deepseek`, `llama4`, `gpt_oss`; empty: no experts.
        window: how sliding windows are laid out where the configuration has no `layer_types`: `all`, `every_other`,
            `pattern` (one full layer in `sliding_window_pattern`), empty: the window is not used.
        plain_head: the output projection is no transposed embedding and has a bias (GPT-J).
    """

    family: str
    gated: bool = True
    tied: bool = False
    biases: str = ""
    learned_positions: int = -1
    block: str = ""
    window: str = ""
    embedding_norm: bool = False


ARCHITECTURES = {
    "LlamaForCausalLM": Architecture("llama"),
    "LLaMAForCausalLM": Architecture("llama"),
    "AquilaModel": Architecture("aquila"),
    "AquilaForCausalLM": Architecture("aquila"),
    "MistralForCausalLM": Architecture("mistral", window="all"),
    "Mistral3ForConditionalGeneration": Architecture("mistral", window="all"),
    "Qwen2ForCausalLM": Architecture("qwen-2", biases="qkv"),
    "Qwen2_5_VLForConditionalGeneration": Architecture("qwen-2.5-vl", biases="qkv"),
    "Qwen2VLForConditionalGeneration": Architecture("qwen-2-vl", biases="qkv"),
    "Qwen3ForCausalLM": Architecture("qwen-3"),
    "Qwen3VLForConditionalGeneration": Architecture("qwen-3-vl"),
    "MiMoForCausalLM": Architecture("mimo", biases="qkv"),
    "DeciLMForCausalLM": Architecture("decilm"),
    "GraniteForCausalLM": Architecture("granite"),
    "InternLM2ForCausalLM": Architecture("internlm-2"),
    "InternLM3ForCausalLM": Architecture("internlm-3"),
    "BaichuanForCausalLM": Architecture("baichuan"),
    "ChatGLMModel": Architecture("chatglm", biases="qkv"),
    "Glm4ForCausalLM": Architecture("glm-4", biases="qkv"),
    "GlmForCausalLM": Architecture("glm-4", biases="qkv"),
    "CohereForCausalLM": Architecture("command-r", tied=True),
    "Cohere2ForCausalLM": Architecture("command-r", tied=True, window="pattern"),
    "OlmoForCausalLM": Architecture("olmo"),
    "Olmo2ForCausalLM": Architecture("olmo-2"),
    "Olmo3ForCausalLM": Architecture("olmo-3", window="pattern"),
    "StableLmForCausalLM": Architecture("stablelm"),
    "Phi3ForCausalLM": Architecture("phi-3", window="all"),
    "Phi3SmallForCausalLM": Architecture("phi-3", biases="all", tied=True),
    "PhiForCausalLM": Architecture("phi", gated=False, biases="all"),
    "GemmaForCausalLM": Architecture("gemma", tied=True),
    "Gemma2ForCausalLM": Architecture("gemma-2", tied=True, window="every_other"),
    "Gemma3ForCausalLM": Architecture("gemma-3", tied=True, window="pattern"),
    "Gemma3ForConditionalGeneration": Architecture("gemma-3", tied=True, window="pattern"),
    "Starcoder2ForCausalLM": Architecture("starcoder2", gated=False, biases="all", tied=True, window="all"),
    "GPTBigCodeForCausalLM": Architecture(
        "starcoder", gated=False, biases="all", tied=True, learned_positions=0
    ),
    "OPTForCausalLM": Architecture("opt", gated=False, biases="all", tied=True, learned_positions=2),
    "GPT2LMHeadModel": Architecture("gpt-2", gated=False, biases="all", tied=True, learned_positions=0),
    "GPTJForCausalLM": Architecture("gpt-j", gated=False, biases="mlp"),
    "GPTNeoXForCausalLM": Architecture("gpt-neox", gated=False, biases="all"),
    "BloomForCausalLM": Architecture("bloom", gated=False, biases="all", tied=True, embedding_norm=True),
    "FalconForCausalLM": Architecture("falcon", gated=False, tied=True),
    "MPTForCausalLM": Architecture("mpt", gated=False, tied=True),
    "MixtralForCausalLM": Architecture("mixtral", block="mixtral", window="all"),
    "PhiMoEForCausalLM": Architecture("phi-3.5-moe", block="mixtral", biases="qkv", window="all"),
    "GraniteMoeForCausalLM": Architecture("granite-moe", block="mixtral", tied=True),
    "OlmoeForCausalLM": Architecture("olmoe", block="mixtral"),
    "MiniMaxM2ForCausalLM": Architecture("minimax-m2", block="mixtral"),
    "Qwen2MoeForCausalLM": Architecture("qwen-2-moe", block="qwen", biases="qkv"),
    "Qwen3MoeForCausalLM": Architecture("qwen-3-moe", block="qwen"),
    "Qwen3VLMoeForConditionalGeneration": Architecture("qwen-3-vl-moe", block="qwen"),
    "Qwen3OmniMoeForConditionalGeneration": Architecture("qwen-3-omni", block="qwen"),
    "DeepseekForCausalLM": Architecture("deepseek", block="deepseek"),
    "DeepseekV2ForCausalLM": Architecture("deepseek-v2", block="deepseek"),
    "DeepseekV3ForCausalLM": Architecture("deepseek-v3", block="deepseek"),
    "KimiK25ForConditionalGeneration": Architecture("kimi-k2", block="deepseek"),
    "Glm4MoeForCausalLM": Architecture("glm-4.5", block="deepseek", biases="qkv"),
    "Dots1ForCausalLM": Architecture("dots-1", block="deepseek"),
    "Ernie4_5_MoeForCausalLM": Architecture("ernie-4.5", block="deepseek"),
    "Llama4ForConditionalGeneration": Architecture("llama-4", block="llama4", window="chunks"),
    "Llama4ForCausalLM": Architecture("llama-4", block="llama4", window="chunks"),
    "GptOssForCausalLM": Architecture("gpt-oss", block="gpt_oss", biases="all", window="every_other"),
    "NemotronHForCausalLM": Architecture("nemotron-h", gated=False, block="nemotron_h"),
    "NemotronH_Nano_VL_V2": Architecture("nemotron-h", gated=False, block="nemotron_h"),
}
"""Architecture, as `config.json` names it, to how it is built."""
