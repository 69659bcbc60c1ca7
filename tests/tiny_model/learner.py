"""The model during training: a fast vision pass, read-outs that guide its layers, and the loss."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as f
from torch import nn
from transformers import Qwen3VLForConditionalGeneration
from transformers.models.qwen3_vl.modeling_qwen3_vl import (
    Qwen3VLVisionAttention,
    Qwen3VLVisionPatchEmbed,
    apply_rotary_pos_emb,
    apply_rotary_pos_emb_vision,
)

from tiny_model.batches import Batch, PairBatch, colour_and_shape, mixed_pairs
from tiny_model.examples import IGNORED, NO_SUBJECT
from tiny_model.world import COLOURS, SHAPES

POINTING_HEADS = 2
"""How many of the last layer's four heads are trained to point at sources."""
MIXED_PAIRS = 96
"""Upper bound for the extra frame pairs made from a batch, see mixed_pairs."""
COLOUR_CLASSES, SHAPE_CLASSES = len(COLOURS) + 1, len(SHAPES) + 1


class OnePassAttention(Qwen3VLVisionAttention):
    """The same attention for frame pairs of one size, computed in one call instead of one call per pair."""

    def forward(
        self, hidden_states: torch.Tensor, cu_seqlens: torch.Tensor, position_embeddings: Any = None, **_: Any
    ) -> torch.Tensor:
        """Attend within each pair; hidden_states has the shape (patches, width)."""
        tokens, pairs = hidden_states.shape[0], len(cu_seqlens) - 1
        query, key, value = self.qkv(hidden_states).reshape(tokens, 3, self.num_heads, -1).permute(1, 0, 2, 3).unbind(0)
        query, key = apply_rotary_pos_emb_vision(query, key, *position_embeddings)
        query, key, value = (
            x.reshape(pairs, tokens // pairs, *x.shape[1:]).transpose(1, 2) for x in (query, key, value)
        )
        mixed = f.scaled_dot_product_attention(query, key, value, scale=self.scaling)
        return self.proj(mixed.transpose(1, 2).reshape(tokens, -1))


class OneProductPatchEmbed(Qwen3VLVisionPatchEmbed):
    """The same embedding as a matrix product: equal since patches do not overlap, and four times as fast to train."""

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        """Embed patches of the shape (N, channels * pixels)."""
        return f.linear(hidden_states, self.proj.weight.flatten(1), self.proj.bias)


class SubjectReadOut(nn.Module):
    """Reads colour and shape from a hidden state."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.colour, self.shape = nn.Linear(width, COLOUR_CLASSES), nn.Linear(width, SHAPE_CLASSES)

    def loss(self, hidden: torch.Tensor, subjects: torch.Tensor) -> torch.Tensor:
        """The mean of both cross entropies; hidden has the shape (N, width), subjects is int (N,)."""
        colours, shapes = colour_and_shape(subjects)
        return (f.cross_entropy(self.colour(hidden), colours) + f.cross_entropy(self.shape(hidden), shapes)) / 2


class Learner(nn.Module):
    """The model with its read-outs, which are discarded after training.

    An answer is copied from sources, see Example. The read-outs train the layers to know, at the end of a source:
    after the first layer what a pair of frames shows, after the second whether that is new and what was new before,
    after the third its time. The last layer then has to attend, from the end of the answer so far, to the source of
    the next line. That is the source that shows the subject asked for, or the one whose previous new subject is the
    subject of the last line. At the end of the answer the third layer knows both subjects. They are read out with the
    same read-outs as at the sources, so that queries and matching keys lie in the same directions. The last layer also
    has to copy the time of whatever source it attends to.
    """

    def __init__(self, model: Qwen3VLForConditionalGeneration) -> None:
        super().__init__()
        self.model = model
        self._be(OneProductPatchEmbed, OnePassAttention)
        width = model.config.text_config.hidden_size
        self.vision = nn.ModuleList([SubjectReadOut(width) for _ in range(4)])
        self.shown = nn.ModuleList([SubjectReadOut(width) for _ in range(2)])
        self.before = SubjectReadOut(width)
        self.begins = nn.Linear(width, 1)
        self.found = nn.Linear(width, 1)
        self.stamp = nn.ModuleList([nn.Linear(width, width) for _ in range(2)])
        self._layers: list[torch.Tensor] = []
        model.model.language_model.rotary_emb.register_forward_hook(self._keep_rotations)
        for layer in model.model.language_model.layers:
            layer.register_forward_hook(lambda _layer, _inputs, output: self._layers.append(output))

    def _keep_rotations(self, _module: nn.Module, _inputs: Any, rotations: tuple[torch.Tensor, torch.Tensor]) -> None:
        self._rotations = rotations

    def plain_model(self) -> Qwen3VLForConditionalGeneration:
        """Return the model as Hugging Face's code runs it, with the same weights."""
        self._be(Qwen3VLVisionPatchEmbed, Qwen3VLVisionAttention)
        return self.model

    def _be(self, patch_embed: type, attention: type) -> None:
        self.model.model.visual.patch_embed.__class__ = patch_embed
        for block in self.model.model.visual.blocks:
            block.attn.__class__ = attention

    def vision_loss(self, batch: PairBatch) -> torch.Tensor:
        """Loss of reading what each frame of a pair shows from the vision tower's two outputs."""
        features = self.model.model.visual(batch.patches, grid_thw=batch.grids)
        loss = self._vision_loss([features.pooler_output, features.deepstack_features[0]], batch.shown)
        return (loss + self._mixed_loss(batch)) / 2

    def _mixed_loss(self, batch: Batch | PairBatch) -> torch.Tensor:
        assert batch.patches is not None
        assert batch.grids is not None
        mixed = mixed_pairs(batch.patches, batch.grids, batch.shown, MIXED_PAIRS)
        features = self.model.model.visual(mixed.patches, grid_thw=mixed.grids)
        return self._vision_loss([features.pooler_output, features.deepstack_features[0]], mixed.shown)

    def _vision_loss(self, outputs: Sequence[torch.Tensor], subjects: torch.Tensor) -> torch.Tensor:
        pooled = [output.reshape(len(subjects), -1, output.shape[-1]).mean(1) for output in outputs]
        losses = [
            self.vision[2 * which + frame].loss(hidden, subjects[:, frame])
            for which, hidden in enumerate(pooled)
            for frame in range(2)
        ]
        return torch.stack(losses).mean()

    def losses(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return the loss of the answers, the loss of the guides, and which answer tokens are right, bool (tokens,)."""
        self._layers.clear()
        visual: list[torch.Tensor] = []
        hook = self.model.model.visual.register_forward_hook(
            lambda _model, _inputs, output: visual.extend([output.pooler_output, output.deepstack_features[0]])
        )
        hidden = self.model.model(
            input_ids=batch.ids,
            pixel_values_videos=batch.patches,
            video_grid_thw=batch.grids,
            mm_token_type_ids=batch.kinds,
            use_cache=False,
        ).last_hidden_state
        hook.remove()
        logits = self.model.lm_head(hidden[batch.answer_places])
        guide = self._source_loss(batch) + self._goal_loss(batch) + self._look_loss(batch)
        if batch.patches is not None:
            guide = guide + (self._vision_loss(visual, batch.shown) + self._mixed_loss(batch)) / 2
            guide = guide + self._search_loss(batch)
        loss = f.cross_entropy(logits, batch.answers, reduction="none") @ batch.shares
        return loss, guide, logits.argmax(-1) == batch.answers

    def _source_loss(self, batch: Batch) -> torch.Tensor:
        """Loss of what the layers should know at the ends of the sources."""
        loss = torch.zeros(())
        if not len(batch.before):
            return loss
        first, second, third = (hidden[batch.source_ends] for hidden in self._layers[:3])
        for frame in range(2 if len(batch.shown) else 0):
            loss = loss + self.shown[frame].loss(first, batch.shown[:, frame]) / 2
        new = batch.begins > 0  # elsewhere this would require a long memory that no answer needs
        loss = loss + self.before.loss(second[new], batch.before[new])
        loss = loss + f.binary_cross_entropy_with_logits(self.begins(second)[:, 0], batch.begins)
        for part in range(2):
            if (batch.stamps[:, part] != IGNORED).any():
                scores = self.model.lm_head(self.stamp[part](third))
                loss = loss + f.cross_entropy(scores, batch.stamps[:, part], ignore_index=IGNORED) / 4
        return loss

    def _search_loss(self, batch: Batch) -> torch.Tensor:
        """Loss of knowing, at the end of a prompt, which subject is asked for and whether it is shown."""
        second, third = (hidden[batch.prompt_ends] for hidden in self._layers[1:3])
        loss = self.shown[1].loss(second, batch.wanted)
        asked = batch.wanted != NO_SUBJECT
        if asked.any():
            found = self.found(third[asked])[:, 0]
            loss = loss + f.binary_cross_entropy_with_logits(found, batch.found[asked])
        return loss

    def _goal_loss(self, batch: Batch) -> torch.Tensor:
        """Loss of knowing, in the third layer at the tokens of answers, what the last layer has to look for."""
        rows, columns = batch.answer_places
        known, wanted = self._layers[-2][rows, columns], batch.wanted[rows]
        loss = self.shown[1].loss(known, wanted)
        lists = wanted == NO_SUBJECT
        if lists.any():
            loss = loss + self.before.loss(known[lists], batch.told[lists])
        return loss

    def _look_loss(self, batch: Batch) -> torch.Tensor:
        """Loss of the pointing heads: attending to the ends of an answer's sources, and copying from there."""
        rows, columns = batch.answer_places
        last = self.model.model.language_model.layers[-1]
        attention, hidden = last.self_attn, last.input_layernorm(self._layers[-2])
        shape = (*hidden.shape[:2], -1, attention.head_dim)
        query = attention.q_norm(attention.q_proj(hidden).view(shape)).transpose(1, 2)
        key = attention.k_norm(attention.k_proj(hidden).view(shape)).transpose(1, 2)
        query, key = apply_rotary_pos_emb(query, key, *self._rotations)
        value = attention.v_proj(hidden).view(shape).transpose(1, 2)
        scores = torch.einsum("thd,thld->thl", query[rows, :, columns], key[rows]) * attention.scaling
        later = torch.arange(hidden.shape[1]) > columns[:, None]
        scores = scores.masked_fill(later[:, None], -torch.inf)
        pointing, others = scores[:, :POINTING_HEADS], scores[:, POINTING_HEADS:]
        losses = f.cross_entropy(
            pointing.flatten(0, 1), batch.pointers.repeat_interleave(POINTING_HEADS), reduction="none"
        )
        loss = losses.view(-1, POINTING_HEADS).mean(1) @ batch.shares
        seen = torch.einsum("thl,thld->thd", others.softmax(-1), value[rows, POINTING_HEADS:])
        return loss + self._copy_loss(batch, value[:, :POINTING_HEADS], seen)

    def _copy_loss(self, batch: Batch, value: torch.Tensor, seen: torch.Tensor) -> torch.Tensor:
        """Loss of the last layer's output for a source's time if its pointing heads attend to nothing else.

        Args:
            batch: see Batch.copies.
            value: the values of the pointing heads, (B, heads, L, head_dim).
            seen: what the other heads attend to, (answer tokens, heads, head_dim).
        """
        token, source, number = batch.copies.unbind(1)
        if not len(token):
            return torch.zeros(())
        rows, columns = (place[token] for place in batch.answer_places)
        language = self.model.model.language_model
        last = language.layers[-1]
        looked = torch.cat([value[rows, :, source], seen[token]], 1).flatten(1)
        mixed = self._layers[-2][rows, columns] + last.self_attn.o_proj(looked)
        copied = mixed + last.mlp(last.post_attention_layernorm(mixed))
        return f.cross_entropy(self.model.lm_head(language.norm(copied)), number)
