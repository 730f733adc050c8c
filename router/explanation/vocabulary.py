"""The words that an explanation may be made of. What cannot be said with them is said by no LLM.

A list of what is forbidden would have to know every finding, organ, cause and piece of advice there is. This list knows
what there is to say of a result: what the model is, what it looked at, how its value stands to its threshold, where the
evidence lies, and what all this is not.
"""

from __future__ import annotations


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


NEGATIONS = _words("no not none neither nor never without nothing nowhere cannot isn't doesn't")

_GRAMMAR = _words(
    """
    a an the this that these those it its they their them which what where when while whose there here of in on at
    by for from to with within between into over near inside outside through than as and or but so if because since
    although though however therefore thus also any some more most less only just rather instead still yet then such
    same own very namely together alone respectively is are was were be been being has have had having does do did
    can could may might will would
    """
)
_THINGS = _words(
    """
    model network system software version output result value score image picture radiograph x-ray xray scan slice
    series study mri pixel voxel mask segmentation heat map heatmap grad-cam overlay colour color red blue region
    area part portion place location share fraction percentage percent probability likelihood threshold cutoff label
    class classification category evidence weight attention focus spacing volume millilitre milliliter ml extent
    size record fact data position display reader reading physician doctor clinician radiologist research use
    purpose explanation interpretation assessment support aid limit limitation note
    """
)
_DEEDS = _words(
    """
    show shown give given label labelled labelling labeled classify assign assigned mark highlight reach exceed lie
    fall stand located concentrate cover contain extend span begin start end run range measure estimate compute
    calculate find found detect see seen look base based rest rely support help assist read interpret explain
    describe mean say tell point reflect represent correspond compare consider use make made take taken come came
    remain place intend intended meant let put carry contribute influence drive driven determine identify recognise
    recognize call called set belong unknown
    """
)
_QUALITIES = _words(
    """
    high higher highest low lower lowest large larger largest small smaller smallest strong stronger strongest weak
    weaker little single marked warm warmer hot hotter hottest displayed empty automated automatic machine-made
    first last above below under up down about approximately nearly almost
    """
)
PLAIN = NEGATIONS | _GRAMMAR | _THINGS | _DEEDS | _QUALITIES

ONLY_DENIED = _words(
    """
    diagnosis diagnose diagnostic lesion outline boundary border contour clinical medical device judgement judgment
    decision replace substitute proof prove confirm confirmation certain certainty definite definitive final sure
    establish guarantee conclusion conclusive approved anywhere precise exact cause
    """
)
"""What an explanation may say only that it is not."""

REGIONS = _words("upper lower left right middle top bottom centre center central")
UP, DOWN = _words("above exceed reach high higher strong stronger"), _words("below under low weak weaker little")
"""What says on which side of its threshold a value stands."""
FINDS = _words("find found detect seen identify recognise recognize mark marked")
PERSONS = _words("reader physician doctor clinician radiologist")
EVIDENCE, EMPTY = _words("evidence heat"), _words("empty")
GRADES = _words("probability likelihood threshold score where little weak")
"""With which a finding may be named that was not found."""

NEGATIONS_JA = ("ません", "ない", "なく", "なし")
JAPANESE = _words(
    """
    どの は が を に で と の も や か へ な だ て た から まで より です でした ます ました ません ませんでした
    ある あり あります あった あること ない なく ではなく ではない ではありません ではございません なし なる なり
    なります なった となる となった となります となり いる います いて いない いません いた おり おります する
    します した し しました して しており しない しません しませんでした され された されました されて されている
    されています される されます されません れた れる れます よる により による によって よって ため ので ただし
    なお また さらに および または この その これ それ ここ そこ もの こと ところ うち など だけ のみ ほど とは
    として としての について における において に対する に対し に対して にあたる とも ながら 全 約 ほぼ およそ 最も
    多い 多く 大きい 大きく 小さい 高い 高く 低い 低く 強い 強く 弱い 弱く わずか わずかな のみで であり である
    であって であるため まま もとに 基づき 基づく 基づいて できる できます できません でき モデル バージョン 版 画像
    胸部 頭部 元 表示 表示画像 結果 出力 値 数値 スコア 確率 可能性 割合 しきい値 閾値 以上 以下 未満 超 超え 超える
    超えて 超えており 上回る 上回り 上回って 上回っており 下回る 下回り 下回って 下回っており 達し 達して 達しており
    分類 判定 判断 検出 認識 ラベル 付け 付けられ ヒートマップ オーバーレイ 根拠 証拠 場所 位置 部分 領域 範囲 箇所
    分布 集中 注目 着目 見た 見て 示す 示し 示した 示します 示しました 示して 示しています 見つかり 見つかる
    見つかった 見つけ 赤 青 赤い 青い 色 熱 量 面積 体積 算出 計算 計測 測定 推定 間隔 不明 スライス 枚 枚目 番目
    ボクセル ミリリットル パーセント 最大 最小 最初 最後 占め 占める 占めます 占めています 含み 含む 含まれ 空
    広がり 広がる る
    研究用 研究 目的 用途 使用 利用 読影 読影者 医師 補助 支援 参考 情報 説明 解釈 限界 制限 本 当該 与え 与えた
    与えました 与えて 付与 行う 行い 行っ 用い 用いて 用いた 比べ 比べて 比較 対応 意味 意味する 表す 表し 表して
    表しています 相当 得られ 得られた 得られました
    """
)
ONLY_DENIED_JA = _words(
    """
    診断 結論 病変 輪郭 境界 確定 確定的 確実 断定 証明 最終 最終的 臨床 臨床判断 代わる 代わり 代替 医療機器 医療
    保証 原因
    """
)
REGIONS_JA = _words("左上 右上 左中央 右中央 左下 右下 左 右 上 下 中央 上部 下部 左側 右側 上側 下側")
PERSONS_JA, EVIDENCE_JA, EMPTY_JA = ("読影者", "医師"), ("根拠", "証拠", "熱"), ("空",)
FINDS_JA = ("検出", "見つか", "見つけ", "認識")
UP_JA = ("以上", "超え", "上回", "達し", "高い", "高く", "強い", "強く")
DOWN_JA = ("未満", "以下", "下回", "低い", "低く", "弱い", "弱く", "わずか")
GRADES_JA = ("確率", "可能性", "しきい値", "閾値", "スコア", "場所", "位置", "わずか")
