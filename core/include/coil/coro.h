/* SPDX-License-Identifier: MIT */
/*
 * coil/coro.h - the language: stackless coroutines with typed parameters and results.
 *
 *     coil_async (int, greet, (int) fd, (const char *) name)    a coroutine; parameters are const
 *     {
 *         coil_vars (char line[64]; int size_bytes);            lives across awaits: my->line
 *
 *         my->size_bytes = snprintf(my->line, sizeof(my->line), "hello %s\n", name);
 *         coil_attempt (write_all(fd, my->line, my->size_bytes));
 *         return my->size_bytes;                                a plain return of the declared type
 *     }
 *
 * The words
 *     coil_async (T, name, (type) parameter, ...)   define a coroutine that this file alone uses
 *     coil_declare (T, name, ...);                  declare one in a header,
 *     coil_define (T, name, ...)                    define it in one source file
 *     coil_declare_private (T, name, ...);          declare one that is not exported
 *     coil_vars (declarations);                     first statement of every body; zeroed
 *     coil_await (call);  coil_await (to, call);    wait for the call; store its result in `to`
 *     coil_attempt (call);  coil_attempt (to, call);   and a negative result returns from here
 *     coil_ignore (call);                           wait for the call; drop its result, on purpose
 *     coil_defer (statements);                      run when this coroutine leaves, whatever for;
 *                                                   youngest first; they may await; they are masked
 *     coil_within (duration, call)                  the call, cancelled after `duration`: -ETIME
 *     coil_until (time, call)                       the call, cancelled at `time`: -ETIME
 *     coil_shield (call)                            the call, hidden from outer cancellations
 *     coil_self                                     the running task
 *
 * coil/sugar.h has the same words without the prefix.
 *
 * The rules
 *   1. Await is a statement. It cannot stand in a condition, an argument or an initialiser.
 *   2. No local variable survives an await: what must, goes into coil_vars(). Strict builds
 *      (with COIL_STRICT, or without optimisation unless with COIL_NOT_STRICT) re-enter the body at
 *      every await, so that both compilers report scalars that are used after one, and abort when
 *      an argument points at a local.
 *   3. A call that is neither awaited nor spawned is a compile-time warning; an await that drops a
 *      result is an error (attempt, a destination, or ignore).
 *   4. At most 8 parameters. Under C++ all variables and parameters must be trivial types.
 *   5. A result that is a struct and can fail begins with an int64_t whose negative values are
 *      errors; attempt looks there, and a deadline stores -ETIME there. A pointer that can fail is
 *      an error pointer (coil/error.h) then.
 *
 * How it works: greet(fd, name) is an inline function that returns a cold coroutine by value.
 * Awaiting it pushes a frame on the task's frame stack and calls greet__step() directly; if it is
 * done, the body just goes on, else it returns, and the task is resumed later at its innermost
 * frame by a jump to the label that the frame's `at` points to. No allocation, whatever the depth.
 */
#ifndef COIL_CORO_H
#define COIL_CORO_H

#include <coil/debug.h>
#include <coil/error.h>
#include <coil/task.h>

#include <stdio.h>
#include <stdlib.h>

#if defined COIL_STRICT || (!defined __OPTIMIZE__ && !defined COIL_NOT_STRICT)
#define COIL_STRICT_ 1
#endif

#if defined __SANITIZE_ADDRESS__
#define COIL_ASAN_ 1
#elif defined __has_feature
#if __has_feature(address_sanitizer)
#define COIL_ASAN_ 1
#endif
#endif
#ifdef COIL_ASAN_
#include <sanitizer/asan_interface.h>
#endif

/* ------------------------------------------------------------------- preprocessor machinery -- */

#define COIL_CAT_(a, b) a##b
#define COIL_CAT(a, b) COIL_CAT_(a, b)
#define COIL_COUNT_(_0, _1, _2, _3, _4, _5, _6, _7, _8, n, ...) n
#define COIL_COUNT(...) COIL_COUNT_(_, ##__VA_ARGS__, 8, 7, 6, 5, 4, 3, 2, 1, 0)
#define COIL_ANY(...) COIL_COUNT_(_, ##__VA_ARGS__, 1, 1, 1, 1, 1, 1, 1, 1, 0)
#define COIL_MAP(m, ...) COIL_CAT(COIL_MAP_, COIL_COUNT(__VA_ARGS__))(m, ##__VA_ARGS__)
#define COIL_MAP_0(m)
#define COIL_MAP_1(m, a) m(a)
#define COIL_MAP_2(m, a, ...) m(a) COIL_MAP_1(m, __VA_ARGS__)
#define COIL_MAP_3(m, a, ...) m(a) COIL_MAP_2(m, __VA_ARGS__)
#define COIL_MAP_4(m, a, ...) m(a) COIL_MAP_3(m, __VA_ARGS__)
#define COIL_MAP_5(m, a, ...) m(a) COIL_MAP_4(m, __VA_ARGS__)
#define COIL_MAP_6(m, a, ...) m(a) COIL_MAP_5(m, __VA_ARGS__)
#define COIL_MAP_7(m, a, ...) m(a) COIL_MAP_6(m, __VA_ARGS__)
#define COIL_MAP_8(m, a, ...) m(a) COIL_MAP_7(m, __VA_ARGS__)
#define COIL_LIST(m, ...) COIL_CAT(COIL_LIST_, COIL_COUNT(__VA_ARGS__))(m, ##__VA_ARGS__)
#define COIL_LIST_0(m) void
#define COIL_LIST_1(m, a) m(a)
#define COIL_LIST_2(m, a, ...) m(a), COIL_LIST_1(m, __VA_ARGS__)
#define COIL_LIST_3(m, a, ...) m(a), COIL_LIST_2(m, __VA_ARGS__)
#define COIL_LIST_4(m, a, ...) m(a), COIL_LIST_3(m, __VA_ARGS__)
#define COIL_LIST_5(m, a, ...) m(a), COIL_LIST_4(m, __VA_ARGS__)
#define COIL_LIST_6(m, a, ...) m(a), COIL_LIST_5(m, __VA_ARGS__)
#define COIL_LIST_7(m, a, ...) m(a), COIL_LIST_6(m, __VA_ARGS__)
#define COIL_LIST_8(m, a, ...) m(a), COIL_LIST_7(m, __VA_ARGS__)

/* A parameter is written `(type) name`, like a cast: the type can be kept or swallowed. */
#define COIL_TYPE_(...) __typeof__(__VA_ARGS__)
#define COIL_CONST_(...) __typeof__(__VA_ARGS__) const
#define COIL_SWALLOW_(...)
#define COIL_P_FIELD_(p) COIL_TYPE_ p;
#define COIL_P_PARAM_(p) COIL_TYPE_ p
#define COIL_P_KEEP_(p)                            \
    co__c.co__a.COIL_SWALLOW_ p = COIL_SWALLOW_ p; \
    COIL_NOT_LOCAL_(COIL_SWALLOW_ p)
/* (A struct without members has another size in C++ than in C.) */
#define COIL_FIELDS_(...) COIL_CAT(COIL_FIELDS_, COIL_ANY(__VA_ARGS__))(__VA_ARGS__)
#define COIL_FIELDS_0() char co__none;
#define COIL_FIELDS_1(...) COIL_MAP(COIL_P_FIELD_, __VA_ARGS__)
#define COIL_KEEP_(...) COIL_CAT(COIL_KEEP_, COIL_ANY(__VA_ARGS__))(__VA_ARGS__)
#define COIL_KEEP_0() co__c.co__a.co__none = 0;
#define COIL_KEEP_1(...) COIL_MAP(COIL_P_KEEP_, __VA_ARGS__)
#define COIL_P_BODY_(p) , COIL_CONST_ p
#define COIL_P_PASS_(p) , co__f->co__a.COIL_SWALLOW_ p

/* 1 if the result type is exactly `void`. */
#define COIL_VOID_PROBE_void() ~, 1
#define COIL_SECOND_(a, b, ...) b
#define COIL_SECOND(...) COIL_SECOND_(__VA_ARGS__)
#define COIL_IS_VOID(T) COIL_SECOND(COIL_VOID_PROBE_##T(), 0, 0)
#define COIL_RESULT_TYPE_0(T) T
#define COIL_RESULT_TYPE_1(T) coil_nil
#define COIL_RESULT_TYPE(T) COIL_CAT(COIL_RESULT_TYPE_, COIL_IS_VOID(T))(T)

/* What kind of type it is. (A float would be promoted on the way into the builtin: a warning.) */
#ifdef __cplusplus
#define COIL_CLASS_(value) __builtin_classify_type(value)
#else
#define COIL_CLASS_(value) \
    __builtin_classify_type(_Generic((value), float : 0.0, default : (value)))
#endif
#define COIL_IS_INTEGER_(value) (COIL_CLASS_(value) >= 1 && COIL_CLASS_(value) <= 4)
#define COIL_IS_POINTER_(value) (COIL_CLASS_(value) == 5)
#define COIL_IS_SCALAR_(value) (COIL_IS_INTEGER_(value) || COIL_IS_POINTER_(value))
#ifdef __cplusplus
template <class T, bool is_struct = __is_class(T)> struct coil_signedness {
    static const bool value = (T)-1 < (T)1;
};
template <class T> struct coil_signedness<T, true> {
    static const bool value = true;
};
template <class T> struct coil_signedness<T *, false> {
    static const bool value = true;
};
#define COIL_IS_SIGNED_(v) (coil_signedness<__typeof__(v)>::value)
#else
#define COIL_INTEGER_TYPE_(value) \
    __typeof__(__builtin_choose_expr(COIL_IS_INTEGER_(value), value, 0))
#define COIL_IS_SIGNED_(value) ((COIL_INTEGER_TYPE_(value)) - 1 < (COIL_INTEGER_TYPE_(value))1)
#endif
/* (Or what looks like one in memory.) */
#define COIL_IS_INT_(value) \
    (COIL_IS_INTEGER_(value) && COIL_IS_SIGNED_(value) && sizeof(value) == sizeof(int))

/*
 * `item` if it points to what `sample` points to; else it does not compile. (Not a statement
 * expression: a compound literal would be gone at its end.)
 */
#ifdef __cplusplus
#define COIL_ITEM_OF_(sample, item) (1 ? (item) : (sample))
#else
#define COIL_ITEM_OF_(sample, item)                                                             \
    ((void)sizeof(struct {                                                                      \
        char nothing;                                                                           \
        static_assert(__builtin_types_compatible_p(__typeof__(*(item)), __typeof__(*(sample))), \
                "this does not point to an item of the right type");                            \
    }),                                                                                         \
            (item))
#endif

/* --------------------------------------------------------------------------- strict builds -- */

COIL_BEGIN_DECLS

/* The C stack below this address belongs to running bodies; NULL outside the scheduler. */
COIL_API extern COIL_THREAD_LOCAL char *coil_stack_mark;

COIL_API void coil_local_argument(const char *argument, const char *coroutine)
        __attribute__((noreturn, cold));

COIL_END_DECLS

static inline bool coil_is_blank(const char *text)
{
    return *text == '\0';
}

#ifdef COIL_STRICT_
/* AddressSanitizer may keep locals elsewhere, where it sees for itself that they are gone. */
static inline bool coil_is_asans(const void *pointer)
{
#ifdef COIL_ASAN_
    return __asan_addr_is_in_fake_stack(
                   __asan_get_current_fake_stack(), (void *)(uintptr_t)pointer, NULL, NULL) != NULL;
#else
    return pointer == NULL;
#endif
}

static __attribute__((noinline, unused)) void coil_not_local(
        const void *pointer, const char *argument, const char *coroutine)
{
    const char *here = (const char *)__builtin_frame_address(0);
    const char *p = (const char *)pointer;
    if (coil_stack_mark != NULL && p > here && p < coil_stack_mark && !coil_is_asans(p))
        coil_local_argument(argument, coroutine);
}
#define COIL_NOT_LOCAL_(v) COIL_NOT_LOCAL2_(v)
#ifdef __cplusplus
template <class T>
static inline void coil_not_local(T *p, const char *argument, const char *coroutine)
{
    coil_not_local((const void *)p, argument, coroutine);
}
template <class T> static inline void coil_not_local(const T &, const char *, const char *) {}
#define COIL_NOT_LOCAL2_(v) coil_not_local(v, #v, __func__);
#else
#define COIL_NOT_LOCAL2_(v) \
    coil_not_local(__builtin_choose_expr(COIL_IS_POINTER_(v), (v), (void *)0), #v, __func__);
#endif
/*
 * An await always returns and the body is entered again, even if the callee is already done: the
 * compilers see that no local survives, and every test takes every resume path.
 */
#define COIL_READY_             \
    {                           \
        co__t->again = true;    \
        return COIL_SUSPENDED_; \
    }
#define COIL_AGAIN_(t) ((t)->again && ((t)->again = false, true))
#define COIL_IS_EAGER_(cold) ((cold).begin != NULL && false)
#define COIL_CREATED_(cold) (cold).created = coil_debug_created((cold).fn);
#define COIL_AWAITED_(cold) \
    if ((cold).created)     \
        coil_debug_awaited((cold).created);
#else
#define COIL_CREATED_(cold)
#define COIL_AWAITED_(cold)
#define COIL_NOT_LOCAL_(v)
#define COIL_READY_
#define COIL_AGAIN_(t) 0
#define COIL_IS_EAGER_(cold) ((cold).begin != NULL && (cold).adapt == 0)
#endif

/*
 * What a suspended body returns: nobody looks at it, so it is whatever lies there, which costs
 * nothing. For a bool that need not be a value.
 */
#ifdef __cplusplus
static inline void coil_suspended(coil_nil &) {}
static inline bool coil_suspended(bool &)
{
    return false;
}
template <class T> static inline T coil_suspended(T &result)
{
    return result;
}
template <class T> struct coil_result_is_nil {
    static const bool value = false;
};
template <> struct coil_result_is_nil<coil_nil> {
    static const bool value = true;
};
#define COIL_SUSPENDED_ coil_suspended(co__f->co__ret)
#define COIL_IS_NIL_(type) (coil_result_is_nil<type>::value)
#else
#define COIL_SUSPENDED_                                                                           \
    __builtin_choose_expr(__builtin_types_compatible_p(__typeof__(co__f->co__ret), coil_nil),     \
            (void)0,                                                                              \
            __builtin_choose_expr(__builtin_types_compatible_p(__typeof__(co__f->co__ret), bool), \
                    false, co__f->co__ret))
#define COIL_IS_NIL_(type) __builtin_types_compatible_p(type, coil_nil)
#endif

/* ----------------------------------------------------------------------- declare and define -- */

/*
 * name__args: the arguments. name__frame: what lies on the frame stack. name__cold: the cold
 * coroutine. name: the function that makes one. (Not the same name for both: C++ would call that
 * shadowing.)
 */
#define COIL_DECLARE_(link, T, name, ...) \
    COIL_DECLARE_AS_(COIL_APART_, NULL, link, T, name, ##__VA_ARGS__)
#define COIL_APART_(...) __VA_ARGS__
#define COIL_SHARED_(...) \
    union {               \
        __VA_ARGS__       \
    };
#define COIL_DECLARE_AS_(place, begin_fn, link, T, name, ...)                              \
    struct name##__args {                                                                  \
        COIL_FIELDS_(__VA_ARGS__)                                                          \
    };                                                                                     \
    struct name##__frame {                                                                 \
        coil_frame co__h;                                                                  \
        place(COIL_RESULT_TYPE(T) co__ret; struct name##__args co__a;)                     \
    };                                                                                     \
    struct name##__cold {                                                                  \
        coil_cold co__c;                                                                   \
        struct name##__args co__a;                                                         \
        struct name##__frame co__f[0];                                                     \
    };                                                                                     \
    link(extern, const coil_fn name##__fn;) static inline                                  \
            __attribute__((warn_unused_result, always_inline, unused)) struct name##__cold \
            name(COIL_LIST(COIL_P_PARAM_, ##__VA_ARGS__))                                  \
    {                                                                                      \
        struct name##__cold co__c;                                                         \
        co__c.co__c.fn = &name##__fn;                                                      \
        co__c.co__c.begin = (begin_fn);                                                    \
        co__c.co__c.adapt = 0;                                                             \
        COIL_CREATED_(co__c.co__c)                                                         \
        COIL_KEEP_(__VA_ARGS__)                                                            \
        return co__c;                                                                      \
    }

#define COIL_RUN_0(name, ...)                                                         \
    {                                                                                 \
        __typeof__(co__f->co__ret) co__v;                                             \
        do                                                                            \
            co__v = name##__body(co__t, co__f COIL_MAP(COIL_P_PASS_, ##__VA_ARGS__)); \
        while (COIL_AGAIN_(co__t));                                                   \
        if (co__t->top != co__h)                                                      \
            return COIL_WAIT;                                                         \
        if (co__h->defers == NULL || !coil_frame_exiting(co__t, co__h))               \
            co__f->co__ret = co__v;                                                   \
    }
#define COIL_RUN_1(name, ...)                                                 \
    {                                                                         \
        do                                                                    \
            name##__body(co__t, co__f COIL_MAP(COIL_P_PASS_, ##__VA_ARGS__)); \
        while (COIL_AGAIN_(co__t));                                           \
        if (co__t->top != co__h)                                              \
            return COIL_WAIT;                                                 \
    }

#define COIL_FN_(name, step, cancel, stack) COIL_FN_FOR_(name, step, cancel, stack, NULL)
#define COIL_FN_FOR_(name, step, cancel, stack, stands_for)                           \
    {                                                                                 \
        step, cancel, #name, __FILE__, stack, (uint32_t)sizeof(struct name##__frame), \
                (uint32_t)offsetof(struct name##__frame, co__ret),                    \
                (uint32_t)sizeof(((struct name##__frame *)0)->co__ret),               \
                (uint32_t)offsetof(struct name##__frame, co__a),                      \
                (uint32_t)sizeof(((struct name##__frame *)0)->co__a),                 \
                COIL_IS_SCALAR_(((struct name##__frame *)0)->co__ret),                \
                COIL_IS_SIGNED_(((struct name##__frame *)0)->co__ret),                \
                COIL_IS_INT_(((struct name##__frame *)0)->co__ret), stands_for        \
    }

#define COIL_DEFINE_(link, T, name, ...)                                                           \
    static T name##__body(                                                                         \
            coil_task *, struct name##__frame *COIL_MAP(COIL_P_BODY_, ##__VA_ARGS__));             \
    static coil_turn name##__step(coil_task *co__t, coil_frame *co__h)                             \
    {                                                                                              \
        struct name##__frame *co__f = (struct name##__frame *)(void *)co__h;                       \
        COIL_CAT(COIL_RUN_, COIL_IS_VOID(T))(name, ##__VA_ARGS__) return coil_leave(co__t, co__h); \
    }                                                                                              \
    static COIL_PROCESS_WIDE uint32_t name##__stack;                                               \
    link(, const coil_fn name##__fn = COIL_FN_(name, name##__step, NULL,                           \
                   &name##__stack);) static T name##__body(coil_task *co__t,                       \
            struct name##__frame *co__f COIL_MAP(COIL_P_BODY_, ##__VA_ARGS__))

#define COIL_EXTERN_(forward, ...) forward __VA_ARGS__
#define COIL_EXPORT_(forward, ...) COIL_API forward __VA_ARGS__
#define COIL_PUBLIC_(forward, ...) __VA_ARGS__
#ifdef __cplusplus
#define COIL_LOCAL_(forward, ...) \
    namespace                     \
    {                             \
    forward __VA_ARGS__           \
    }
#else
#define COIL_LOCAL_(forward, ...) static __VA_ARGS__
#endif

#define coil_async(T, name, ...)                       \
    COIL_DECLARE_(COIL_LOCAL_, T, name, ##__VA_ARGS__) \
    COIL_DEFINE_(COIL_LOCAL_, T, name, ##__VA_ARGS__)
#define coil_declare(T, name, ...) \
    COIL_DECLARE_(COIL_EXPORT_, T, name, ##__VA_ARGS__) struct name##__cold
#define coil_declare_private(T, name, ...) \
    COIL_DECLARE_(COIL_EXTERN_, T, name, ##__VA_ARGS__) struct name##__cold
#define coil_declare_leaf(T, name, ...) \
    COIL_DECLARE_AS_(COIL_SHARED_, NULL, COIL_EXPORT_, T, name, ##__VA_ARGS__) struct name##__cold
#define COIL_IS_ALIGNED_TO_8_(name) \
    static_assert(__alignof__(struct name##__frame) <= 8, "an eager leaf is aligned to 8 bytes")
#define coil_declare_eager(T, name, begin, ...)                                   \
    COIL_DECLARE_AS_(COIL_APART_, &(begin), COIL_EXPORT_, T, name, ##__VA_ARGS__) \
    COIL_IS_ALIGNED_TO_8_(name)
#define coil_declare_eager_leaf(T, name, begin, ...)                               \
    COIL_DECLARE_AS_(COIL_SHARED_, &(begin), COIL_EXPORT_, T, name, ##__VA_ARGS__) \
    COIL_IS_ALIGNED_TO_8_(name)
#define coil_define(T, name, ...) COIL_DEFINE_(COIL_PUBLIC_, T, name, ##__VA_ARGS__)

/*
 * A leaf is defined by its step and cancel functions (coil/task.h): declared with coil_declare()
 * it takes coil_define_leaf(), and for one file, with coil_leaf(), coil_leaf_fn(). In them
 * coil_arguments(name, frame)->parameter is an argument, coil_result(name, frame) the result, an
 * lvalue.
 *
 * coil_declare_leaf() is coil_declare() for a leaf of which there are many that wait: its result
 * takes the place of its arguments, so its step function stores it when it has read them.
 *
 * coil_declare_eager() and coil_declare_eager_leaf() are the same as coil_declare() and
 * coil_declare_leaf(), for leaves that mostly have their result at once: `begin`, a coil_begin_fn
 * (coil/task.h) that has been declared before, is called while there is no frame yet.
 */
#define coil_leaf(T, name, ...) \
    COIL_DECLARE_(COIL_LOCAL_, T, name, ##__VA_ARGS__) struct name##__cold
#define coil_leaf_fn(name, step, cancel)                                          \
    COIL_LOCAL_(, const coil_fn name##__fn = COIL_FN_(name, step, cancel, NULL);) \
    struct name##__cold
#define coil_define_leaf(name, step, cancel) \
    const coil_fn name##__fn = COIL_FN_(name, step, cancel, NULL)
#define coil_arguments(name, frame) (&((struct name##__frame *)(void *)(frame))->co__a)
#define coil_result(name, frame) (((struct name##__frame *)(void *)(frame))->co__ret)

/* ------------------------------------------------------------------------------- the words -- */

#define coil_vars(...)                                                                             \
    enum { every_coroutine_starts_with_vars = 1 };                                                 \
    struct co__vars {                                                                              \
        __VA_ARGS__;                                                                               \
    } *my = (struct co__vars *)coil_enter(co__t, &co__f->co__h,                                    \
            sizeof(struct co__vars) * !coil_is_blank(#__VA_ARGS__), __alignof__(struct co__vars)); \
    (void)my;                                                                                      \
    /* A label whose address is taken: a body without any await is fine, too. */                   \
    static void *const co__first __attribute__((unused)) = &&co__top;                              \
    if (co__f->co__h.at)                                                                           \
        goto * co__f->co__h.at->label;                                                             \
    co__top:                                                                                       \
    (void)0

/*
 * What the compilers take for the type of a call that has an error in it is int or void. In its
 * place goes one that has all that is asked of a call below, so that the error is said once, and
 * not again for each member. (An int that is awaited is then no initialiser: that is its error.)
 */
typedef struct coil_no_arguments {
    char co__none;
} coil_no_arguments;

typedef struct coil_no_call_frame {
    coil_frame co__h;
    int co__ret;
    coil_no_arguments co__a;
} coil_no_call_frame;

typedef struct coil_no_call {
    coil_cold co__c;
    coil_no_arguments co__a;
    coil_no_call_frame co__f[0];
} coil_no_call;

#ifdef __cplusplus
#define COIL_AUTO_ auto
template <class T> struct coil_call_type {
    typedef T type;
};
template <> struct coil_call_type<int> {
    typedef coil_no_call type;
};
template <> struct coil_call_type<void> {
    typedef coil_no_call type;
};
#define COIL_CALL_TYPE_(given, error) typename coil_call_type<given>::type
#else
#define COIL_AUTO_ __auto_type
#define COIL_CALL_TYPE_(given, error) \
    __typeof__(*_Generic((given *)0, __typeof__(error) * : (coil_no_call *)0, default : (given *)0))
#endif

/*
 * co__k: the frame of the cold coroutine c on t's stack, a `frame`, awaited by `caller`. Whether it
 * is adapted is asked before anything is called: the compilers then see that it nearly never is,
 * that nobody looks at the cold one, and keep it in registers.
 */
#define COIL_FRAME_(t, frame, c, caller)                                                  \
    const coil_fn *const co__fn = (c).co__c.fn;                                           \
    const bool co__adapted = (c).co__c.adapt != 0;                                        \
    __typeof__(frame) *co__k =                                                            \
            (__typeof__(frame) *)coil_push_aligned(t, sizeof(frame), __alignof__(frame)); \
    coil_frame_push(t, &co__k->co__h, co__fn, caller);                                    \
    co__k->co__a = (c).co__a;                                                             \
    COIL_AWAITED_((c).co__c)                                                              \
    if (co__adapted)                                                                      \
    coil_adapt(t, &co__k->co__h, &(c).co__c)

/* co__k: where the frame of the cold coroutine c would be. */
#define COIL_PLACE_(t, frame, c)                                                 \
    __typeof__(frame) *co__k = (__typeof__(frame) *)coil_room(t, sizeof(frame)); \
    co__k->co__h.fn = (c).co__c.fn;                                              \
    co__k->co__a = (c).co__a

/* (Asked twice: what is no function at all, clang++ still takes for int after the first time.) */
#define COIL_CALL_TYPES_(...)                         \
    typedef __typeof__(__VA_ARGS__) co__given;        \
    typedef COIL_CALL_TYPE_(co__given, int) co__told; \
    typedef COIL_CALL_TYPE_(co__told, void) co__cold; \
    typedef __typeof__(((co__cold *)0)->co__f[0]) co__frame __attribute__((unused));

#define COIL_CALL_(text, ...)                                                 \
    __label__ co__resume;                                                     \
    COIL_CALL_TYPES_(__VA_ARGS__)                                             \
    static const coil_site co__site = {                                       \
            &&co__resume, text, __LINE__ * every_coroutine_starts_with_vars}; \
    {                                                                         \
        co__cold co__c = (__VA_ARGS__);                                       \
        if (COIL_IS_EAGER_(co__c.co__c)) {                                    \
            COIL_PLACE_(co__t, co__frame, co__c);                             \
            co__f->co__h.at = &co__site;                                      \
            if (co__c.co__c.begin(co__t, &co__k->co__h) != COIL_DONE)         \
                return COIL_SUSPENDED_;                                       \
        } else {                                                              \
            COIL_FRAME_(co__t, co__frame, co__c, &co__f->co__h);              \
            co__f->co__h.at = &co__site;                                      \
            if (co__fn->step(co__t, &co__k->co__h) != COIL_DONE)              \
                return COIL_SUSPENDED_;                                       \
        }                                                                     \
        COIL_READY_                                                           \
    }                                                                         \
    co__resume:                                                               \
    if (coil_unlikely(co__t->unwinding))                                      \
    return COIL_SUSPENDED_

/* The result of the call that has just left: its frame still lies at sp. */
#define COIL_VALUE_ (((co__frame *)(void *)co__t->sp)->co__ret)

/*
 * The status of a result: itself if it is an integer, else the int64_t that it begins with. (The
 * branch that is not taken must compile as well, hence the inner choices.)
 */
typedef int64_t coil_peeked __attribute__((may_alias));

#define COIL_CAN_FAIL_(value) \
    (COIL_IS_SCALAR_(value) || (COIL_CLASS_(value) == 12 && sizeof(value) >= 2 * sizeof(int64_t)))
#ifdef __cplusplus
template <class T, bool is_struct = __is_class(T)> struct coil_status {
    static inline int64_t of(const T &value)
    {
        return (int64_t)value;
    }
    static inline T failure(coil_frame *, T &, int64_t status)
    {
        return (T)status;
    }
};
template <class T> struct coil_status<T, true> {
    static inline int64_t of(const T &value)
    {
        return *(const coil_peeked *)(const void *)&value;
    }
    static inline T failure(coil_frame *frame, T &result, int64_t status)
    {
        coil_frame_set_result(frame, status);
        return result;
    }
};
#define COIL_STATUS_(value) (coil_status<__typeof__(value)>::of(value))
#define COIL_FAILURE_(status) \
    (coil_status<__typeof__(co__f->co__ret)>::failure(&co__f->co__h, co__f->co__ret, status))
#else
#define COIL_STATUS_(value)                                                       \
    __builtin_choose_expr(COIL_IS_INTEGER_(value),                                \
            (int64_t) __builtin_choose_expr(COIL_IS_INTEGER_(value), (value), 0), \
            *(const coil_peeked *)(const void *)&(value))
#define COIL_FAILURE_(status)                                                       \
    __builtin_choose_expr(COIL_IS_INTEGER_(co__f->co__ret),                         \
            (__typeof__(__builtin_choose_expr(                                      \
                    COIL_IS_INTEGER_(co__f->co__ret), co__f->co__ret, 0)))(status), \
            (coil_frame_set_result(&co__f->co__h, (status)), co__f->co__ret))
#endif

#define COIL_AWAIT_1(text, call)                                                    \
    do {                                                                            \
        COIL_CALL_(text, call);                                                     \
        static_assert(COIL_IS_NIL_(__typeof__(COIL_VALUE_)),                        \
                "this await drops a result: use attempt, a destination or ignore"); \
    } while (0)
#define COIL_AWAIT_2(text, to, call) \
    do {                             \
        COIL_CALL_(text, call);      \
        (to) = COIL_VALUE_;          \
    } while (0)
/* (It is the result that is looked at, not `to`, which may be unsigned.) */
#define COIL_RETURN_IF_FAILED_                                                                   \
    static_assert(COIL_CAN_FAIL_(COIL_VALUE_),                                                   \
            "attempt needs a result that is an integer, or a struct of at least 16 bytes that "  \
            "begins with an int64_t");                                                           \
    static_assert(COIL_CAN_FAIL_(co__f->co__ret),                                                \
            "attempt needs a coroutine whose own result can be an error: an integer, or such a " \
            "struct");                                                                           \
    if (coil_unlikely(COIL_STATUS_(COIL_VALUE_) < 0))                                            \
    return COIL_FAILURE_(COIL_STATUS_(COIL_VALUE_))
#define COIL_ATTEMPT_1(text, call)                                                      \
    do {                                                                                \
        COIL_CALL_(text, call);                                                         \
        static_assert(COIL_IS_INTEGER_(COIL_VALUE_) || !COIL_CAN_FAIL_(COIL_VALUE_),    \
                "this attempt drops a result that has to be given back: a destination " \
                "or ignore");                                                           \
        COIL_RETURN_IF_FAILED_;                                                         \
    } while (0)
#define COIL_ATTEMPT_2(text, to, call) \
    do {                               \
        COIL_CALL_(text, call);        \
        (to) = COIL_VALUE_;            \
        COIL_RETURN_IF_FAILED_;        \
    } while (0)
#define COIL_IGNORE_(text, call) \
    do {                         \
        COIL_CALL_(text, call);  \
    } while (0)

#define coil_await(...) COIL_CAT(COIL_AWAIT_, COIL_COUNT(__VA_ARGS__))(#__VA_ARGS__, __VA_ARGS__)
#define coil_attempt(...) \
    COIL_CAT(COIL_ATTEMPT_, COIL_COUNT(__VA_ARGS__))(#__VA_ARGS__, __VA_ARGS__)
#define coil_ignore(...) COIL_IGNORE_(#__VA_ARGS__, __VA_ARGS__)

/* (A fresh name for each, so that nested adaptors do not shadow each other.) */
#define COIL_ADAPTED_(cold, change, ...) \
    __extension__({                      \
        COIL_AUTO_ cold = (__VA_ARGS__); \
        change;                          \
        cold;                            \
    })
#define COIL_WITHIN_(cold, duration, ...) \
    COIL_ADAPTED_(cold, coil_cold_within(&cold.co__c, (duration)), __VA_ARGS__)
#define COIL_UNTIL_(cold, time, ...) \
    COIL_ADAPTED_(cold, coil_cold_until(&cold.co__c, (time)), __VA_ARGS__)
#define COIL_SHIELD_(cold, ...) COIL_ADAPTED_(cold, coil_cold_shield(&cold.co__c), __VA_ARGS__)
#define coil_within(duration, ...) COIL_WITHIN_(COIL_CAT(co__w, __COUNTER__), duration, __VA_ARGS__)
#define coil_until(time, ...) COIL_UNTIL_(COIL_CAT(co__w, __COUNTER__), time, __VA_ARGS__)
#define coil_shield(...) COIL_SHIELD_(COIL_CAT(co__w, __COUNTER__), __VA_ARGS__)

#define COIL_DEFER_(label, ...)                                                                 \
    do {                                                                                        \
        if (__extension__({                                                                     \
                static const coil_leaving co__exit = {                                          \
                        NULL, {&&label, "defer", __LINE__ * every_coroutine_starts_with_vars}}; \
                coil_defer_push(&co__f->co__h,                                                  \
                        (coil_deferred *)coil_push_keeping(                                     \
                                co__t, sizeof(coil_deferred), COIL_EXIT_BYTES),                 \
                        &co__exit);                                                             \
                1;                                                                              \
            }))                                                                                 \
            break;                                                                              \
    label:                                                                                      \
        (void)0; /* So that the first of them can be a declaration. */                          \
        __VA_ARGS__;                                                                            \
        return COIL_SUSPENDED_;                                                                 \
    } while (0)
#define coil_defer(...) COIL_DEFER_(COIL_CAT(co__defer_, __COUNTER__), __VA_ARGS__)

#define coil_self co__t

/* A task made of a cold coroutine, on `sched`. NULL if there is no memory. */
#define COIL_TASK_OF_(sched, ...)                                                                  \
    __extension__({                                                                                \
        COIL_CALL_TYPES_(__VA_ARGS__)                                                              \
        static_assert(__alignof__(co__frame) <= 16, "a task begins at a multiple of 16 bytes");    \
        co__cold co__w = (__VA_ARGS__);                                                            \
        coil_task *co__n = co__w.co__c.adapt == 0 ? coil_task_create(sched, co__w.co__c.fn)        \
                                                  : coil_task_create_adapted(sched, &co__w.co__c); \
        if (coil_likely(co__n != NULL)) {                                                          \
            COIL_FRAME_(co__n, co__frame, co__w, NULL);                                            \
        } else {                                                                                   \
            COIL_AWAITED_(co__w.co__c)                                                             \
        }                                                                                          \
        co__n;                                                                                     \
    })

/* ------------------------------------------------------------------------------- handlers -- */

/*
 * A coroutine `int name(type *)` as a value, for those who call back: servers, method tables. Made
 * with coil_handler(name, type *), which does not compile if `name` takes anything else. Its one
 * argument is a pointer; the type check at the maker is what makes the erasure sound.
 * coil_handler_init() is the same as an initialiser, for literals of structs around it.
 */
typedef struct coil_handler {
    const coil_fn *fn;
} coil_handler;

#ifdef __cplusplus
#define COIL_HANDLER_CHECK_(name, type) (0 * sizeof(name((type)0)))
#else
#define COIL_HANDLER_CHECK_(name, type) \
    (0 * sizeof(name((type)0)) +        \
            0 * sizeof(char[sizeof(struct name##__args) == sizeof(void *) ? 1 : -1]))
#endif
#define coil_handler_init(name, type)                 \
    {                                                 \
        &name##__fn + COIL_HANDLER_CHECK_(name, type) \
    }
#define coil_handler(name, type) ((coil_handler)coil_handler_init(name, type))

COIL_BEGIN_DECLS

/* Await a handler with its argument. Result: the handler's own. */
coil_declare(int, coil_handler_call, (coil_handler) handler, (void *) argument);

COIL_END_DECLS

#endif
