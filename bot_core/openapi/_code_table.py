"""The platform's error codes as data: groups that share what they mean for a caller, a row a code (PLATFORM 1-3)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

__all__ = ("GROUPS", "CodeKind", "Group")


class CodeKind(StrEnum):
    """What a caller can do about a code."""

    ACCEPTED = "accepted"
    RETRY_NOW = "retry_now"
    RETRY_LATER = "retry_later"
    RATE = "rate"
    QUOTA = "quota"
    REFRESH_TOKEN = "refresh_token"  # noqa: S105 - the name of a kind
    AUTH = "auth"
    PERMISSION = "permission"
    REPLY_CONTEXT = "reply_context"
    DUPLICATE = "duplicate"
    TARGET = "target"
    PAYLOAD = "payload"
    MEDIA = "media"
    MEDIA_SOURCE = "media_source"
    MEDIA_EXPIRED = "media_expired"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Group:
    """Codes that call for the same thing.

    Attributes:
        kind: What a caller can do.
        advice_en: The same for a person.
        advice_zh: In Chinese.
        rows: Number, meaning in English, meaning in Chinese.
    """

    kind: CodeKind
    advice_en: str
    advice_zh: str
    rows: tuple[tuple[int, str, str], ...]


GROUPS: Final[tuple[Group, ...]] = (
    Group(
        CodeKind.ACCEPTED,
        "nothing to do: MESSAGE_AUDIT_PASS or MESSAGE_AUDIT_REJECT follows",
        "无需处理，稍后会收到 MESSAGE_AUDIT_PASS 或 MESSAGE_AUDIT_REJECT",
        (
            (304023, "the message is being audited", "消息审核中"),
            (304024, "the reply is being audited", "回复审核中"),
        ),
    ),
    Group(
        CodeKind.RETRY_NOW,
        "try once more; if it stays, check the bot's rights in the console",
        "重试一次；若仍失败，请在管理后台检查权限",
        (
            (11252, "the platform could not check the app's rights", "应用权限检查失败"),
            (11263, "the platform could not check the rights in this chat", "会话权限检查失败"),
            (11281, "the platform could not check the administrator's rights", "管理员权限检查失败"),
        ),
    ),
    Group(
        CodeKind.RETRY_NOW,
        "try again a little later; where it stays under HTTP 4xx, check the fields of the request",
        "请稍后重试；若一直返回 HTTP 4xx，请检查请求字段",
        ((850012, "a service behind the platform failed, or a field is malformed", "内部代理调用失败或字段格式错误"),),
    ),
    Group(
        CodeKind.RETRY_LATER,
        "wait a moment and try again",
        "稍等后重试",
        (
            (50055001, "the platform is busy", "系统繁忙"),
            (50055002, "the platform is busy", "系统繁忙"),
            (50055006, "the platform is busy", "系统繁忙"),
            (50065001, "the recall failed for now", "撤回暂时失败"),
            (40054006, "the message could not be sent for now", "消息暂时发送失败"),
            (40034004, "the platform could not re-host the medium", "富媒体转存失败"),
            (504000, "a time-out inside the platform (504xxx)", "平台内部超时（504xxx）"),
            (1100300, "the safety check failed for now", "安全检查暂时失败"),
            (850027, "the platform took too long to receive the medium", "富媒体传输超时"),
            (40093001, "the platform's store is not reachable for now", "上传通道暂时异常"),
        ),
    ),
    Group(
        CodeKind.RATE,
        "send more slowly",
        "请降低调用频率",
        (
            (100001, "too many requests for a token", "获取 token 过于频繁"),
            (40034100, "too many unasked messages", "主动消息频率超限"),
            (40023001, "too many calls of this interface", "接口调用频率超限"),
            (20028, "too many messages in this chat", "会话消息频率超限"),
            (1100100, "the safety check limits the frequency", "安全打击：频率超限"),
            (1100308, "too frequent for this chat", "触发频率限制"),
            (50002, "too many parts of a streamed message", "流式消息频率超限"),
        ),
    ),
    Group(
        CodeKind.QUOTA,
        "wait until the allowance is counted anew (most of them a day); the console shows it",
        "等待配额重置（多为每日），可在管理后台查看",
        (
            (22009, "the allowance of messages is used up", "消息数量超限"),
            (304045, "the allowance of unasked messages in channels is used up", "频道主动消息数量超限"),
            (304049, "the allowance of unasked private messages is used up", "私信主动消息数量超限"),
            (304050, "the allowance of unasked private messages to this user is used up", "对该用户主动私信超限"),
            (40093002, "the daily upload volume is used up", "当日上传容量超限"),
            (40035007, "the store for pictures is full (100)", "图片库已满（100）"),
        ),
    ),
    Group(
        CodeKind.REFRESH_TOKEN,
        "a new token was fetched and the call repeated; if it stays, another program may be using this appid",
        "已刷新 token 并重试；若仍失败，请确认没有其他程序在使用同一 appid",
        (
            (11241, "the token is wrong", "token 错误"),
            (11242, "the platform could not check the token", "token 校验失败"),
            (11243, "the token is not accepted", "token 校验不通过"),
            (11244, "the token has expired", "token 已过期"),
        ),
    ),
    Group(
        CodeKind.AUTH,
        "check appid and client_secret in the console (AppID, AppSecret; the secret changes when it is reset)",
        "请在管理后台核对 AppID 与 AppSecret（重置后旧密钥失效）",
        (
            (100007, "this appid is invalid, or the bot is banned or deleted", "appid 无效，或机器人被封禁、删除"),
            (100016, "appid and client_secret do not belong together", "appid 与 client_secret 不匹配"),
            (10004, "this bot does not exist", "机器人不存在"),
            (11245, "the old fixed token is no longer accepted", "固定 token 鉴权已停用"),
            (11251, "the appid is wrong", "appid 错误"),
            (11261, "the appid is wrong", "appid 错误"),
            (11275, "the appid is wrong", "appid 错误"),
        ),
    ),
    Group(
        CodeKind.PERMISSION,
        "apply for this right in the console",
        "请在管理后台申请该权限",
        (
            (11253, "the bot may not use this interface", "没有该接口权限"),
            (11254, "this interface is closed for the bot", "接口已被禁用"),
            (304004, "ark messages are not allowed for this bot", "没有发送 ark 消息的权限"),
            (304036, "this markdown or keyboard is not allowed for this bot", "没有 markdown 或按钮权限"),
            (40034127, "the bot lacks the right for this message", "没有发送该类消息的权限"),
        ),
    ),
    Group(
        CodeKind.PERMISSION,
        "make the bot an administrator of the group, where the group wants that",
        "请让群主将机器人设为管理员",
        (
            (11264, "the bot lacks the right in this chat", "机器人在该会话没有权限"),
            (11282, "only for administrators", "需要管理员权限"),
        ),
    ),
    Group(
        CodeKind.PERMISSION,
        "the user who asked needs this right, not the bot",
        "需要有权限的用户来操作，而非机器人",
        (
            (11273, "the user's rights could not be checked", "用户权限检查失败"),
            (11274, "the user lacks the right", "用户没有权限"),
        ),
    ),
    Group(
        CodeKind.PERMISSION,
        "recall only what the bot sent itself, within 2 minutes of sending; this message stays",
        "只能在发送后 2 分钟内撤回机器人自己的消息；该消息将保留",
        (
            (40061001, "the message may not be recalled", "不允许撤回该消息"),
            (40061002, "the message may not be recalled", "不允许撤回该消息"),
            (40062003, "the bot has no right to recall this message", "没有撤回权限"),
            (40064004, "messages older than 2 minutes cannot be recalled", "超过 2 分钟的消息不能撤回"),
            (306009, "the message could not be recalled", "撤回消息失败"),
        ),
    ),
    Group(
        CodeKind.PERMISSION,
        "add this machine's public IP to the allow-list in the console (development settings), or empty the list",
        "请在管理后台“开发设置”中将本机公网 IP 加入白名单，或清空白名单",
        (
            (11298, "this machine's IP is not on the bot's allow-list", "本机 IP 不在白名单内"),
            (40023002, "this machine's IP is not on the bot's allow-list", "本机 IP 不在白名单内"),
        ),
    ),
    Group(
        CodeKind.REPLY_CONTEXT,
        "answer sooner and with fewer messages, or send it unasked",
        "请更早、用更少的消息回复，或改为主动消息",
        (
            (304103, "the message is too old to be answered", "回复的消息已过期"),
            (40034005, "the message is too old to be answered", "回复的消息已过期"),
            (40034024, "the message to be answered is not valid", "msg_id 无效"),
            (40034025, "the event to be answered is not valid", "event_id 无效"),
            (40034026, "the message or event is too old to be answered", "消息或事件已过期"),
            (40034027, "the event cannot be answered", "该事件不支持回复"),
            (40034128, "the number of replies to this message is used up", "对该消息的回复次数已用完"),
            (304026, "the id of the message to be answered is not valid", "msg_id 错误"),
            (304027, "the message is too old to be answered", "msg_id 已过期"),
        ),
    ),
    Group(
        CodeKind.REPLY_CONTEXT,
        "acknowledge a button once, within seconds, with the id of its own event",
        "请在数秒内、用该事件自己的 id 回应按钮，且只回应一次",
        # What tells the eight apart is not documented (PLATFORM 6.5).
        tuple(
            (number, "the pressed button could not be acknowledged", "按钮回应失败") for number in range(630001, 630009)
        ),
    ),
    Group(
        CodeKind.DUPLICATE,
        "it was delivered before; for another message use the next msg_seq",
        "该消息此前已送达；发送新消息请使用新的 msg_seq",
        ((40054005, "this msg_id and msg_seq were used before", "消息去重：msg_id 与 msg_seq 重复"),),
    ),
    Group(
        CodeKind.TARGET,
        "check that the bot is in this chat, and that the openid is this bot's own (each bot sees other openids)",
        "请确认机器人在该会话中，且 openid 属于本机器人（各机器人互不相同）",
        (
            (40034101, "the bot is not in this group", "机器人不在群内"),
            (40054003, "the bot is not in this group", "机器人不在群内"),
            (40011028, "the openid is not valid for this bot", "openid 无效"),
            (11255, "the request or its openid is not valid for this bot", "请求无效或 openid 不属于本机器人"),
        ),
    ),
    Group(
        CodeKind.TARGET,
        "answer a message or an event instead; only the chat's people can allow unasked messages, in the bot's profile",
        "请改为回复消息或事件；主动消息只能由群主或用户在机器人资料页中开启",
        (
            (40034105, "unasked messages are switched off here", "没有主动消息权限"),
            (40054013, "the user does not want messages from the bot", "用户拒收机器人消息"),
        ),
    ),
    Group(
        CodeKind.TARGET,
        "wait until the mute ends, or ask an administrator of the group to lift it",
        "请等待禁言结束，或请群管理员解除禁言",
        (
            (40054002, "the bot is muted here", "机器人被禁言"),
            (850018, "the group or the bot is muted", "群或机器人被禁言"),
        ),
    ),
    Group(
        CodeKind.TARGET,
        "the user has to add the bot as a friend first",
        "请让用户先添加机器人为好友",
        ((40054004, "the user has not added the bot", "非好友关系"),),
    ),
    Group(
        CodeKind.TARGET,
        "look in the console for what keeps the bot off line or banned",
        "请在管理后台查看机器人下线或封禁的原因",
        (
            (40054016, "the bot is off line", "机器人已下线"),
            (11265, "the bot is banned here", "机器人被封禁"),
            (11293, "the platform refuses this chat", "平台拒绝该会话"),
        ),
    ),
    Group(
        CodeKind.PAYLOAD,
        "change the message",
        "请修改消息内容",
        (
            (12002, "the request is not valid", "请求参数无效"),
            (22006, "msg_type and content do not fit together", "msg_type 与内容不符"),
            (40007, "the streamed message does not continue its beginning", "流式消息前缀不一致"),
            (50001, "the streamed message is not valid", "流式消息无效"),
            (50006, "the message is empty", "消息为空"),
            (50035, "a field is not valid", "参数无效"),
            (50037, "markdown and other fields do not go together", "markdown 不能与其他字段同时使用"),
            (50041, "the message is not valid", "消息无效"),
            (50042, "the message is not valid", "消息无效"),
            (50055, "the markdown is not valid", "markdown 无效"),
            (50056, "the markdown is not valid", "markdown 无效"),
            (50057, "the markdown is not valid", "markdown 无效"),
            (50059, "the message is not valid", "消息无效"),
            (304061, "the message is not valid", "消息无效"),
            (305007, "the message is not valid", "消息无效"),
            (340067, "the message is not valid", "消息无效"),
            (340069, "the message is not valid", "消息无效"),
            (40034008, "a field of the message is not valid", "消息字段无效"),
            (40034009, "a field of the message is not valid", "消息字段无效"),
            (40034010, "a field of the message is not valid", "消息字段无效"),
            (40034011, "a field of the message is not valid", "消息字段无效"),
            (40034029, "a field of the message is not valid", "消息字段无效"),
            (40034106, "the message is not valid", "消息无效"),
            (40034108, "the message is not valid", "消息无效"),
            (40034109, "the message is not valid", "消息无效"),
            (40034124, "the message is not valid", "消息无效"),
        ),
    ),
    Group(
        CodeKind.PAYLOAD,
        "register the link's domain in the console (message URL settings), or send without the link",
        "请在管理后台报备该链接的域名（消息 URL 配置），或去掉链接",
        (
            (304003, "links are not allowed (their domain is not registered)", "不允许发送未报备的链接"),
            (40054010, "links are not allowed (their domain is not registered)", "不允许发送未报备的链接"),
        ),
    ),
    Group(
        CodeKind.PAYLOAD,
        "shorten the text, or send it in several messages",
        "请缩短文本，或分多条发送",
        (
            (40054007, "the message is too long", "消息过长"),
            (40054018, "the message is too long", "消息过长"),
        ),
    ),
    Group(
        CodeKind.PAYLOAD,
        "take out what the moderation objects to; the same content is refused again",
        "请去掉违规内容；相同内容会再次被拒绝",
        ((40034006, "the platform's moderation refuses the content", "内容违规"),),
    ),
    Group(
        CodeKind.PAYLOAD,
        "send without is_wakeup, or wait for the next window",
        "请去掉 is_wakeup，或等待下一时段",
        (
            (40034122, "this recall message (is_wakeup) is not allowed now", "当前不允许发送召回消息"),
            (40034123, "the recall messages (is_wakeup) of this window are used up", "该时段召回消息已用完"),
        ),
    ),
    Group(
        CodeKind.MEDIA,
        "send another format or a smaller file (pictures png or jpg, video mp4, voice silk)",
        "请更换格式或减小文件（图片 png/jpg，视频 mp4，语音 silk）",
        (
            (850019, "the platform does not take this format", "文件格式不支持"),
            (40034002, "the platform does not take this format", "文件格式不支持"),
            (850031, "the file is larger than the platform takes", "文件大小超限"),
            (10000, "the platform does not support this operation", "不支持该操作"),
            (40035008, "the picture is not in the store", "图片不存在"),
            (304017, "the platform could not upload the picture", "图片上传失败"),
            (304020, "the picture is larger than the platform takes", "图片大小超限"),
        ),
    ),
    Group(
        CodeKind.MEDIA_SOURCE,
        "check that the address answers from the internet within 5 s; the bytes can be uploaded instead",
        "请确认该地址可从公网在 5 秒内访问；也可改为直接上传文件",
        (
            (850026, "the platform could not download the address", "平台下载该地址失败"),
            (40034001, "the platform could not download the address", "平台下载该地址失败"),
            (40034141, "the platform could not re-host a picture of the markdown", "markdown 图片转存失败"),
            (304010, "the platform could not re-host the picture", "图片转存失败"),
            (304021, "the platform could not download the picture", "图片下载失败"),
            (40002, "the platform could not download the picture", "图片下载失败"),
        ),
    ),
    Group(
        CodeKind.MEDIA_EXPIRED,
        "upload the medium again",
        "请重新上传富媒体",
        (
            (304080, "file_info is not valid, or has expired", "file_info 无效或已过期"),
            (304082, "the platform could not fetch the uploaded medium", "富媒体信息拉取失败"),
            (304083, "the platform could not convert the uploaded medium", "富媒体信息转换失败"),
        ),
    ),
)
