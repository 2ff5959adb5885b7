// The console's words, in the languages of its users.

const LANGUAGE = "offstage-language";

const CHINESE = {
  Jobs: "任务", Documents: "文档", Notifications: "通知", Service: "服务",
  "API key": "API 密钥", "Your API key": "您的 API 密钥", Cancel: "取消", "Log in": "登录", "Forget key": "清除密钥",
  Type: "类型", State: "状态", Queue: "队列", Created: "创建时间", Progress: "进度", All: "全部", More: "更多",
  "No jobs yet.": "还没有任务。", "No documents yet.": "还没有文档。", "Nothing was sent yet.": "还没有发送通知。",
  Result: "结果", Error: "错误", Attempts: "失败的尝试", Events: "实时事件", Attempt: "尝试", Worker: "工作进程",
  Started: "开始", Ended: "结束", "Next attempt": "下次尝试", "Waits for": "等待", "About to start in": "预计等待",
  cancel: "取消", pause: "暂停", resume: "继续", requeue: "重新排队", delete: "删除", seconds: "秒",
  queued: "排队中", scheduled: "已计划", waiting: "等待中", running: "运行中", retrying: "重试中", paused: "已暂停",
  completed: "已完成", failed: "失败", canceled: "已取消", processing: "处理中", sent: "已发送", skipped: "已跳过",
  unknown: "未知", outbox: "本地发件箱", ready: "就绪", stopped: "已停止", File: "文件", Size: "大小", Pages: "页数", Upload: "上传", Ask: "提问", Question: "问题",
  "A question to all documents": "向所有文档提问", "Delete this document?": "删除此文档？", page: "页",
  "Delete this job?": "删除此任务？", "Not answered": "无法回答",
  Queues: "队列", Workers: "工作进程", Busy: "忙碌", "Oldest waits": "最久等待", "A minute": "每分钟",
  "Job types": "任务类型", Count: "次数", Failed: "失败", Schedules: "定时任务", Next: "下次", Last: "上次",
  "Language model": "语言模型", "None is set up: answers are built in.": "尚未配置：使用内置回答。", calls: "调用",
  "circuit breaker": "熔断器", closed: "闭合", half_open: "半开", open: "断开", "tries again in": "重试倒计时",
  Ready: "就绪", "No schedules.": "没有定时任务。", "No figures yet.": "还没有数据。", Models: "模型", Name: "名称",
  Research: "研究", "A question to look into": "需要研究的问题", "Look into it": "开始研究", Search: "搜索", Model: "模型",
  "No research yet.": "还没有研究。", "Delete this report?": "删除此报告？",
  User: "用户", Event: "事件", Channels: "渠道", Reason: "原因", "Back to the list": "返回列表", Slots: "并发",
  Chat: "对话", Message: "消息", Send: "发送", Stop: "停止", Answer: "回答", tokens: "词元", Job: "任务", Model: "模型",
  "with my documents": "参考我的文档", "New conversation": "新对话", "Remember this conversation": "记住此对话",
  "Known of this user": "关于此用户的记忆", "Nothing is known yet.": "还没有记忆。", Fact: "内容", Sessions: "会话", Session: "会话",
  "Earlier messages": "历史消息", "Nothing was said yet.": "还没有对话。", Topics: "主题", Sentiment: "情绪", "Open questions": "未解决的问题",
  positive: "积极", neutral: "中性", negative: "消极", mixed: "复杂",
  "Nothing left this machine: no channel is set up, the messages are here.": "消息未离开本机：尚未配置渠道，消息保存在此处。",
};

export const language = () => localStorage.getItem(LANGUAGE) ?? (navigator.language.startsWith("zh") ? "zh" : "en");
export const setLanguage = (code) => localStorage.setItem(LANGUAGE, code);
export const t = (text) => language() === "zh" ? CHINESE[text] ?? text : text;
