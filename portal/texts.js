// The page's texts in both languages. What comes from model cards and explanations is already in words.

const EN = {
  disclaimer: "Research use only, not a medical device",
  drop: "Drop images here",
  dropHint: "DICOM, NIfTI, PNG, JPEG or TIFF; several files of one series, or a zip",
  choose: "Choose files",
  privacy: "Remove patient data before sending what you may not share.",
  samples: "Or try a synthetic sample",
  recent: "Recent analyses",
  noRecent: "No analyses yet. Send an image or try a sample.",
  loading: "Loading…",
  models: "Models",
  noModels: "No models are served at the moment.",
  when: "When", image: "Image", finding: "Finding", model: "Model", actions: "Actions",
  open: "Open", remove: "Delete", cancel: "Cancel",
  confirmDelete: "Delete this analysis with its images? This cannot be undone.",
  back: "New analysis",
  answer: "Output of the model, not a diagnosis",
  working: "Analysing",
  "step.received": "Files received", "step.decoded": "Images decoded", "step.dispatched": "Model found",
  "step.predicted": "Model has answered", "step.stored": "Result stored",
  explanation: "Explanation", template: "Fixed wording from the figures", llm: "Written by {model}, checked against the figures",
  explaining: "A language model is rewriting this…",
  opacityHeat: "Heat map opacity", opacityMask: "Mask opacity", slice: "Slice", of: "{n} of {count}",
  legendLow: "low", legendHigh: "high evidence for {label}",
  legendNote: "Grad-CAM scaled to this image, not a lesion outline",
  noHeat: "No evidence for {label} was found in this image, so the heat map is empty.",
  probability: "Probability of {label}", threshold: "Threshold {value}",
  reached: "reached", notReached: "not reached",
  volume: "Volume", spacingUnknown: "spacing unknown", voxels: "{n} voxels",
  extentSlices: "Slices {first}–{last} of {count}", nothing: "Nothing marked",
  areaTitle: "Area per slice", areaHint: "Share of the slice that is marked. Click or drag to go to a slice.",
  stackHint: "Wheel, arrow keys or slider: slices", stack: "Slice stack; arrow keys change the slice",
  mask: "Marked by the model: {label}",
  details: "How this was found", version: "Version", runtime: "Runtime", modality: "Kind of image",
  "source.dicom": "from the DICOM header", "source.classifier": "recognised by the modality model",
  "source.override": "chosen by the user", confidence: "{value} confidence",
  input: "Input", images: "{n} images", oneImage: "1 image", created: "Analysed", time: "Time taken", seconds: "{n} s",
  canary: "candidate version", spacing: "Spacing (mm)",
  use: "Intended use", notFor: "Not for", limits: "Limits",
  imageAlt: "Analysed image with the heat map over it",
  failed: "The request failed", offline: "The server does not answer. Check the connection and try again.",
  broken: "The stream ended before a result came. Look at the recent analyses, or send the images again.",
  noPicture: "An image of this analysis could not be loaded. Reload the page to try again.",
  noPictureTitle: "Image missing",
  "label.normal": "normal", "label.pneumonia": "pneumonia", "label.tumour": "tumour",
  "modality.chest-xray": "Chest X-ray", "modality.brain-mri": "Brain MRI",
  "task.classification": "Classification with heat map", "task.segmentation": "Segmentation",
};

const JA = {
  disclaimer: "研究用。医療機器ではありません",
  drop: "ここに画像をドロップ",
  dropHint: "DICOM、NIfTI、PNG、JPEG、TIFF。同一シリーズの複数ファイル、またはzip",
  choose: "ファイルを選択",
  privacy: "共有できない患者情報は、送信前に削除してください。",
  samples: "合成サンプルで試す",
  recent: "最近の解析",
  noRecent: "解析はまだありません。画像を送信するか、サンプルをお試しください。",
  loading: "読み込み中…",
  models: "モデル",
  noModels: "現在利用できるモデルはありません。",
  when: "日時", image: "画像", finding: "所見", model: "モデル", actions: "操作",
  open: "開く", remove: "削除", cancel: "キャンセル",
  confirmDelete: "この解析を画像とともに削除しますか。元に戻すことはできません。",
  back: "新しい解析",
  answer: "モデルの出力（診断ではありません）",
  working: "解析中",
  "step.received": "ファイルを受信", "step.decoded": "画像を復号", "step.dispatched": "モデルを選択",
  "step.predicted": "モデルが回答", "step.stored": "結果を保存",
  explanation: "説明", template: "数値に基づく定型文", llm: "{model} が作成し、数値と照合済み",
  explaining: "言語モデルが文章を書き直しています…",
  opacityHeat: "ヒートマップの不透明度", opacityMask: "マスクの不透明度", slice: "スライス", of: "{n} / {count}",
  legendLow: "低", legendHigh: "高（{label}の根拠）",
  legendNote: "Grad-CAM（画像内の最大値で正規化）。病変の輪郭ではありません",
  noHeat: "この画像に{label}の根拠は見られず、ヒートマップは空です。",
  probability: "{label}の確率", threshold: "しきい値 {value}",
  reached: "以上", notReached: "未満",
  volume: "体積", spacingUnknown: "画素間隔が不明", voxels: "{n} ボクセル",
  extentSlices: "スライス {first}–{last}（全{count}枚）", nothing: "該当領域なし",
  areaTitle: "スライスごとの面積", areaHint: "スライスに占める領域の割合。クリックまたはドラッグで移動します。",
  stackHint: "ホイール・矢印キー・スライダーでスライスを移動", stack: "スライス画像。矢印キーでスライスを移動",
  mask: "モデルが示す領域：{label}",
  details: "判定の経緯", version: "バージョン", runtime: "実行環境", modality: "画像の種類",
  "source.dicom": "DICOMヘッダによる", "source.classifier": "画像種別モデルによる",
  "source.override": "利用者が指定", confidence: "信頼度 {value}",
  input: "入力", images: "{n} 枚", oneImage: "1 枚", created: "解析日時", time: "所要時間", seconds: "{n} 秒",
  canary: "候補バージョン", spacing: "画素間隔（mm）",
  use: "用途", notFor: "対象外", limits: "限界",
  imageAlt: "解析した画像とヒートマップ",
  failed: "リクエストに失敗しました", offline: "サーバーが応答しません。接続を確認して、もう一度お試しください。",
  broken: "結果が届く前に通信が終了しました。最近の解析を確認するか、画像をもう一度送信してください。",
  noPicture: "この解析の画像を読み込めませんでした。ページを再読み込みしてください。",
  noPictureTitle: "画像がありません",
  "label.normal": "正常", "label.pneumonia": "肺炎", "label.tumour": "腫瘍",
  "modality.chest-xray": "胸部X線", "modality.brain-mri": "脳MRI",
  "task.classification": "分類（ヒートマップ付き）", "task.segmentation": "領域抽出",
};

const TABLES = { en: EN, ja: JA };
const KEY = "dokuei.language";

let language = localStorage.getItem(KEY) ?? (navigator.language.startsWith("ja") ? "ja" : "en");
if (!(language in TABLES)) language = "en";

export const currentLanguage = () => language;

export function setLanguage(next) {
  language = next;
  localStorage.setItem(KEY, next);
}

/** The text of `key`, its {placeholders} filled from `values`. */
export function t(key, values = {}) {
  return TABLES[language][key].replace(/\{(\w+)\}/g, (_, name) => values[name]);
}

/** The word for a label or modality of a model card; the card's own where the page knows none. */
export const word = (kind, label) => TABLES[language][`${kind}.${label}`] ?? label;

export const percent = (value, digits = 1) =>
  new Intl.NumberFormat(language, { style: "percent", minimumFractionDigits: digits, maximumFractionDigits: digits }).format(value);

export const number = (value, digits = 0) =>
  new Intl.NumberFormat(language, { minimumFractionDigits: digits, maximumFractionDigits: digits }).format(value);

export const moment = (iso) =>
  new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "short" }).format(new Date(iso));
