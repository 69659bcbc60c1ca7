"""The inputs that the worker does not read rightly yet, and why. Once an input is read rightly, its test fails until
it is taken out of here."""

FIRST_STREAM = "the first stream of moving pictures is taken, whatever the flags, lengths and sizes say"
NOT_NAMED = "the result does not say that there is another stream"
LATE_STREAM = "a stream that appears late ends the reading: PyAV's table of streams is as long as at the start"
SWITCHED = "what another stream goes on with is neither read nor missed"
SIXTY_FOUR = "libav opens 64 streams; more fail an MP4 and lose packets of the video elsewhere"
LOSS = "only what a decoder marks counts as lost: no missing packet, and no picture decoded from a lost one"
OTHER_RECORDING = "a second recording in a file is neither read nor missed"
CLOCK = "a jump forward of a transport stream's clock is taken for a standstill"
LAST_PICTURE = "the container's duration and the sound are not asked how long the last picture stays"
SOUND = "the result does not say that the sound goes on after the last picture"
PTS = "H.264 without a time in most packets is not interpolated"
DTS = "without any times of showing, the time of decoding is taken, although pictures are reordered"
BEGIN = "what precedes the first picture is not counted where no other stream begins at 0"
EDIT_LIST = "libav's reading of the edit list is taken as it is"
FIRST_TURN = "turn and shape of the first picture hold for all"
DOLBY = "Dolby Vision without a base layer is taken for ordinary HEVC"
COLOUR_NUMBERS = "the converter refuses the numbers, and the job fails"
NO_KEYFRAME = "a chunk without a keyframe counts as undecodable"
NESTED = "a packet whose slices are not found is dropped"
LIBAV_LOSES_ONE = "the picture that libav loses is not missed"
NEVER_SHOWN = "pictures that are decoded and never shown are taken for shown"
STATE = "what a decoder keeps from earlier packets is missing where it starts later or sees fewer"
LAYERS = "of several pictures of one time the first is shown"
FIELDS = "fields in packets of their own count as pictures"

_CODECS = ("h264", "hevc", "vp9", "av1")
_NAMES: dict[str, tuple[str, ...]] = {
    FIRST_STREAM: (
        "jpeg_first.mp4", "jpeg_first.mkv", "short_preview_first.mkv", "second_is_default.mp4",
        "second_is_default.mkv", "second_is_longer.mp4", "second_is_longer.ts", "second_is_larger.mp4",
    ),
    NOT_NAMED: ("two_cameras.mkv",),
    LATE_STREAM: (
        "sound_at_5_s_unannounced.flv", "caption_at_6_s.flv", "second_with_sound.flv", "sound_from_6_s.flv",
        "new_program.ts",
    ),
    SWITCHED: ("new_pid.ts", "new_pid_hevc.ts", "new_codec.ts"),
    SIXTY_FOUR: ("subtitles_two_lines.mkv", "subtitles_ten_lines.mkv", "subtitles.mp4", "sounds.ts", "sounds.mkv"),
    LOSS: (
        *(f"{damage}_{codec}.mp4" for damage in ("zeros", "noise", "bits") for codec in _CODECS),
        "zeros_h264.ts", "zeros_h264.flv", "zeros_mpeg2.ts", "zeros_vp8.webm", "zeros_vp9.webm", "dropped_packets.ts",
    ),
    OTHER_RECORDING: (
        "joined.webm", "joined_vp9.webm", "joined.mkv", "joined_fragments.mp4", "joined.mp4", "joined.ogv",
        "joined.wmv",
    ),
    CLOCK: ("clock_20_h_ahead.ts", "clock_25_h_ahead.ts"),
    LAST_PICTURE: ("sound_goes_on.webm", "last_picture_stays.mkv"),
    SOUND: ("sound_is_longer.mp4",),
    PTS: ("sparse_pts_h264.ts", "sparse_pts_h264_b.ts"),
    DTS: ("vfw_h264_b.mkv",),
    BEGIN: ("begins_late.mkv", "begins_late_fragmented.mp4", "empty_edit_first.mp4"),
    EDIT_LIST: (
        "empty_edit_middle.mp4", "empty_edit_middle_vp9.mp4", "rate_0_edit.mp4", "lossless_cuts_hevc.mp4",
        "lossless_cuts_hevc_open.mp4",
    ),
    FIRST_TURN: ("sei_turn.flv", "sei_turn.ts", "sei_turn.mp4", "turns_midway_vp9.mkv", "turns_midway_vp8.mkv"),
    DOLBY: ("dolby_vision_5.mp4",),
    COLOUR_NUMBERS: (
        "logarithmic.mp4", "prores_0.mov", "h264_10.mp4", "av1_3.mkv", "av1_30.mkv", "av1_10.mkv",
        *(f"colr_{number}_{codec}.mp4" for number in (0, 3, 9) for codec in ("vp9", "mpeg4")),
    ),
    NO_KEYFRAME: (
        "one_keyframe.mp4", "one_keyframe.mkv", "one_keyframe_hevc.mp4", "intra_refresh.ts", "intra_refresh.mp4",
    ),
    NESTED: ("nested_units.mp4", "nested_prefixes.mp4"),
    LIBAV_LOSES_ONE: ("empty_unit_before.ts",),
    NEVER_SHOWN: ("end_of_sequence.mp4", "end_of_sequence.ts", "end_of_sequence.mkv"),
    STATE: (
        "mpeg2_matrices.ts", "mpeg2_matrices.mkv", "mjpeg_tables_once.mov", "mjpeg_tables_once.mkv", "av1_open.mkv",
        "av1_open.mp4",
    ),
    LAYERS: ("vp9_layers.mkv",),
    FIELDS: ("fields_apart.ts",),
}  # fmt: skip
NOT_YET: dict[str, str] = {name: why for why, names in _NAMES.items() for name in names}
"""By the name of the input."""
