//! The sizes that people and formulas ask of a model, whatever its family calls them in its configuration.

/// Of a decoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DecoderSizes {
    /// Width of its hidden states.
    pub width: i64,
    /// Inner width of its MLPs.
    pub mlp_width: i64,
    /// Blocks.
    pub n_blocks: i64,
    /// Query heads.
    pub n_heads: i64,
    /// Heads of keys and values.
    pub n_kv_heads: i64,
    /// Width of a head.
    pub head_width: i64,
    /// Rows of its embedding.
    pub n_words: i64,
    /// Tokens that one sequence may have.
    pub n_positions: i64,
}

/// Of a vision tower.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TowerSizes {
    /// Width of its hidden states.
    pub width: i64,
    /// Inner width of its MLPs.
    pub mlp_width: i64,
    /// Blocks.
    pub n_blocks: i64,
    /// Attention heads.
    pub n_heads: i64,
    /// Pixels of an image's side.
    pub image_size: i64,
    /// Pixels of a patch's side.
    pub patch_size: i64,
    /// The hidden layer that is handed on; −2 is the last but one.
    pub feature_layer: i64,
}
