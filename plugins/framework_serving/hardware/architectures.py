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
        block: how experts are described: `mixtral`, `qwen`, `deepseek`, `llama4`, `gemma4`, `gpt_oss`; empty: there
            are none.
        window: how sliding windows are laid out where the configuration has no `layer_types`: `all`, `every_other`,
            `pattern` (one full layer in `sliding_window_pattern`), empty: the window is not used.
        recurrent: kind of the layers that don't attend (`recurrent_layers`); empty: all layers attend.
        output_gate: a gate as wide as the queries multiplies what attention returns.
    """

    family: str
    gated: bool = True
    tied: bool = False
    biases: str = ""
    learned_positions: int = -1
    block: str = ""
    window: str = ""
    recurrent: str = ""
    output_gate: bool = False


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
    "Gemma4ForCausalLM": Architecture("gemma-4", tied=True, block="gemma4", window="pattern"),
    "Gemma4ForConditionalGeneration": Architecture("gemma-4", tied=True, block="gemma4", window="pattern"),
    "Gemma4UnifiedForConditionalGeneration": Architecture(
        "gemma-4", tied=True, block="gemma4", window="pattern"
    ),
    "VaultGemmaForCausalLM": Architecture("gemma", tied=True, window="every_other"),
    "SmolLM3ForCausalLM": Architecture("smollm-3", tied=True),
    "SeedOssForCausalLM": Architecture("seed-oss", biases="qkv"),
    "ExaoneForCausalLM": Architecture("exaone"),
    "Exaone4ForCausalLM": Architecture("exaone-4", window="pattern"),
    "Ernie4_5ForCausalLM": Architecture("ernie-4.5", tied=True),
    "ApertusForCausalLM": Architecture("apertus", gated=False),
    "ArceeForCausalLM": Architecture("arcee", gated=False),
    "NemotronForCausalLM": Architecture("nemotron", gated=False),
    "PersimmonForCausalLM": Architecture("persimmon", gated=False, biases="all"),
    "Jais2ForCausalLM": Architecture("jais-2", gated=False, biases="all"),
    "HeliumForCausalLM": Architecture("helium"),
    "CwmForCausalLM": Architecture("cwm", window="pattern"),
    "HyperCLOVAXForCausalLM": Architecture("hyperclova-x"),
    "MinistralForCausalLM": Architecture("mistral", window="all"),
    "Ministral3ForCausalLM": Architecture("mistral", window="all"),
    "HunYuanDenseV1ForCausalLM": Architecture("hunyuan", tied=True),
    "MiniCPMForCausalLM": Architecture("minicpm", tied=True),
    "MiniCPM3ForCausalLM": Architecture("minicpm-3", tied=True),
    "YoutuForCausalLM": Architecture("youtu", tied=True),
    "GraniteSWAForCausalLM": Architecture("granite", window="all"),
    "SolarForCausalLM": Architecture("solar"),
    "OrionForCausalLM": Architecture("orion"),
    "TeleFLMForCausalLM": Architecture("telechat"),
    "XverseForCausalLM": Architecture("xverse"),
    "Starcoder2ForCausalLM": Architecture("starcoder2", gated=False, biases="all", tied=True, window="all"),
    "GPTBigCodeForCausalLM": Architecture(
        "starcoder", gated=False, biases="all", tied=True, learned_positions=0
    ),
    "OPTForCausalLM": Architecture("opt", gated=False, biases="all", tied=True, learned_positions=2),
    "GPT2LMHeadModel": Architecture("gpt-2", gated=False, biases="all", tied=True, learned_positions=0),
    "GPTJForCausalLM": Architecture("gpt-j", gated=False, biases="mlp"),
    "GPTNeoXForCausalLM": Architecture("gpt-neox", gated=False, biases="all"),
    "BloomForCausalLM": Architecture("bloom", gated=False, biases="all", tied=True),
    "FalconForCausalLM": Architecture("falcon", gated=False, tied=True),
    "MPTForCausalLM": Architecture("mpt", gated=False, tied=True),
    "MixtralForCausalLM": Architecture("mixtral", block="mixtral", window="all"),
    "PhiMoEForCausalLM": Architecture("phi-3.5-moe", block="mixtral", biases="qkv", window="all"),
    "GraniteMoeForCausalLM": Architecture("granite-moe", block="mixtral", tied=True),
    "PhimoeForCausalLM": Architecture("phi-3.5-moe", block="mixtral", biases="qkv", window="all"),
    "GraniteMoeSharedForCausalLM": Architecture("granite-moe", block="mixtral", tied=True),
    "GraniteMoeSWAForCausalLM": Architecture("granite-moe", block="mixtral", tied=True, window="all"),
    "FlexOlmoForCausalLM": Architecture("flex-olmo", block="mixtral"),
    "MiniMaxM3SparseForCausalLM": Architecture("minimax-m3", block="mixtral"),
    "MiniMaxM3SparseForConditionalGeneration": Architecture("minimax-m3", block="mixtral"),
    "MiniMaxM3ForCausalLM": Architecture("minimax-m3", block="mixtral"),
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
    "DeepseekV32ForCausalLM": Architecture("deepseek-v3.2", block="deepseek"),
    "MistralLarge3ForCausalLM": Architecture("mistral-large-3", block="deepseek"),
    "Glm4MoeLiteForCausalLM": Architecture("glm-4.7-flash", block="deepseek"),
    "GlmMoeDsaForCausalLM": Architecture("glm-5", block="deepseek"),
    "ExaoneMoeForCausalLM": Architecture("exaone-moe", block="deepseek", window="pattern"),
    "ExaoneMoEForCausalLM": Architecture("exaone-moe", block="deepseek", window="pattern"),
    "SolarOpenForCausalLM": Architecture("solar-open", block="deepseek"),
    "AfmoeForCausalLM": Architecture("afmoe", block="deepseek", window="pattern", output_gate=True),
    "MiMoV2FlashForCausalLM": Architecture("mimo-v2", block="deepseek", window="all"),
    "HYV3ForCausalLM": Architecture("hunyuan-3", block="deepseek"),
    "AXK1ForCausalLM": Architecture("ax-k1", block="deepseek"),
    "Cohere2MoeForCausalLM": Architecture("command-moe", block="deepseek", tied=True, window="pattern"),
    "Dots1ForCausalLM": Architecture("dots-1", block="deepseek"),
    "Ernie4_5_MoeForCausalLM": Architecture("ernie-4.5", block="deepseek"),
    "Llama4ForConditionalGeneration": Architecture("llama-4", block="llama4", window="chunks"),
    "Llama4ForCausalLM": Architecture("llama-4", block="llama4", window="chunks"),
    "GptOssForCausalLM": Architecture("gpt-oss", block="gpt_oss", biases="all", window="every_other"),
    "Qwen3NextForCausalLM": Architecture(
        "qwen-3-next", block="qwen", recurrent="gated_delta", output_gate=True
    ),
    "Qwen3_5ForCausalLM": Architecture("qwen-3.5", recurrent="gated_delta", output_gate=True),
    "Qwen3_5ForConditionalGeneration": Architecture("qwen-3.5", recurrent="gated_delta", output_gate=True),
    "Qwen3_5MoeForCausalLM": Architecture(
        "qwen-3.5-moe", block="qwen", recurrent="gated_delta", output_gate=True
    ),
    "Qwen3_5MoeForConditionalGeneration": Architecture(
        "qwen-3.5-moe", block="qwen", recurrent="gated_delta", output_gate=True
    ),
    "OlmoHybridForCausalLM": Architecture("olmo-hybrid", recurrent="gated_delta"),
    "KimiLinearForCausalLM": Architecture("kimi-linear", block="deepseek", recurrent="kimi_delta"),
    "MiniMaxForCausalLM": Architecture("minimax-01", block="mixtral", recurrent="lightning"),
    "MiniMaxText01ForCausalLM": Architecture("minimax-01", block="mixtral", recurrent="lightning"),
    "GraniteMoeHybridForCausalLM": Architecture("granite-4", block="mixtral", tied=True, recurrent="mamba_2"),
    "BambaForCausalLM": Architecture("bamba", recurrent="mamba_2"),
    "FalconH1ForCausalLM": Architecture("falcon-h1", recurrent="beside"),
    "JambaForCausalLM": Architecture("jamba", block="mixtral", recurrent="mamba_1"),
    "Lfm2ForCausalLM": Architecture("lfm-2", tied=True, recurrent="convolution"),
    "Lfm2MoeForCausalLM": Architecture("lfm-2-moe", block="deepseek", tied=True, recurrent="convolution"),
    "NemotronHForCausalLM": Architecture("nemotron-h", gated=False, block="qwen", recurrent="nemotron_h"),
    "NemotronH_Nano_VL_V2": Architecture("nemotron-h", gated=False, block="qwen", recurrent="nemotron_h"),
}
"""Architecture, as `config.json` names it, to how it is built."""

DECODERS = {
    "llama": "LlamaForCausalLM",
    "mistral": "MistralForCausalLM",
    "ministral3": "Ministral3ForCausalLM",
    "mixtral": "MixtralForCausalLM",
    "qwen2": "Qwen2ForCausalLM",
    "qwen2_moe": "Qwen2MoeForCausalLM",
    "qwen3": "Qwen3ForCausalLM",
    "qwen3_moe": "Qwen3MoeForCausalLM",
    "qwen3_next": "Qwen3NextForCausalLM",
    "qwen3_5_text": "Qwen3_5ForCausalLM",
    "qwen3_5_moe_text": "Qwen3_5MoeForCausalLM",
    "gemma": "GemmaForCausalLM",
    "gemma2": "Gemma2ForCausalLM",
    "gemma3_text": "Gemma3ForCausalLM",
    "gemma4_text": "Gemma4ForCausalLM",
    "phi3": "Phi3ForCausalLM",
    "internlm2": "InternLM2ForCausalLM",
    "cohere2": "Cohere2ForCausalLM",
    "granite": "GraniteForCausalLM",
    "granitemoehybrid": "GraniteMoeHybridForCausalLM",
    "starcoder2": "Starcoder2ForCausalLM",
    "smollm3": "SmolLM3ForCausalLM",
    "lfm2": "Lfm2ForCausalLM",
    "glm4": "Glm4ForCausalLM",
    "glm4_moe": "Glm4MoeForCausalLM",
    "deepseek_v2": "DeepseekV2ForCausalLM",
    "deepseek_v3": "DeepseekV3ForCausalLM",
    "ernie4_5": "Ernie4_5ForCausalLM",
    "ernie4_5_moe": "Ernie4_5_MoeForCausalLM",
    "gpt_oss": "GptOssForCausalLM",
    "nemotron_h": "NemotronHForCausalLM",
}
"""`model_type` of the decoder inside a multimodal model, to its architecture."""
